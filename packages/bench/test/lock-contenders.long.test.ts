// Hunts: a lock that two hold, one that an unlock leaves locked, and one that a waiter does not get.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ContendedLockClient, LockClient, Service, Waiter } from '../src/contender.ts';
import { etcd as etcdWaiting } from '../src/contenders/contended-lock/etcd.ts';
import { meshforge as meshforgeWaiting } from '../src/contenders/contended-lock/meshforge.ts';
import { postgresAdvisory as postgresWaiting } from '../src/contenders/contended-lock/postgres-advisory.ts';
import { redlock as redlockWaiting } from '../src/contenders/contended-lock/redlock.ts';
import { etcd } from '../src/contenders/locks/etcd.ts';
import { postgresAdvisory } from '../src/contenders/locks/postgres-advisory.ts';
import { redisSetNx } from '../src/contenders/locks/redis-set-nx.ts';
import { redlock } from '../src/contenders/locks/redlock.ts';
import { createTestHost, firstStartMs } from './support/test-host.ts';

const refused = /is locked|quorum|Failed to acquire a lock/;
const host = createTestHost();
afterAll(async () => await host.stop());

describe.each([redlock, redisSetNx, etcd, postgresAdvisory])('$name', (contender) => {
  let service: Service;
  let clients: LockClient[] = [];
  beforeAll(async () => {
    service = await contender.start(host);
    const { address } = service;
    clients = await Promise.all([contender.connect(address), contender.connect(address)]);
  }, firstStartMs);
  afterAll(async () => {
    await Promise.all(clients.map(async (client) => await client.close()));
    await service?.stop();
  });

  test('a held lock is refused to everybody, and free again once it is unlocked', async () => {
    const [one, other] = clients as [LockClient, LockClient];
    const resource = randomUUID();
    const unlock = await one.lock(resource);
    await expect(other.lock(resource)).rejects.toThrow(refused);
    await expect(one.lock(resource)).rejects.toThrow(refused);
    await unlock();
    const unlockOther = await other.lock(resource);
    await expect(one.lock(resource)).rejects.toThrow(refused);
    await unlockOther();
  });

  test('32 resources are locked at the same time, each by one of two who want it', async () => {
    const resources = Array.from({ length: 32 }, () => randomUUID());
    const wanted = resources.flatMap((resource) => clients.map(async (client) => await client.lock(resource)));
    const outcomes = await Promise.allSettled(wanted);
    const got = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(got).toHaveLength(32);
    await Promise.all(got.map(async (unlock) => await unlock()));
  });
});

describe.each([meshforgeWaiting, redlockWaiting, etcdWaiting, postgresWaiting])('$name, waiting', (contender) => {
  let service: Service;
  let client: ContendedLockClient;
  let waiters: Waiter[] = [];
  beforeAll(async () => {
    service = await contender.start(host);
    client = await contender.connect(service.address);
    waiters = await Promise.all(Array.from({ length: 3 }, async () => await client.waiter()));
  }, firstStartMs);
  afterAll(async () => {
    await Promise.all(waiters.map(async (waiter) => await waiter.close()));
    await client?.close();
    await service?.stop();
  });

  test('whoever wants a held lock waits, and gets it once it is unlocked', async () => {
    const [one, other] = waiters as [Waiter, Waiter];
    const resource = randomUUID();
    const unlock = await one.lock(resource);
    let isLocked = false;
    const waiting = other.lock(resource).then((unlockOther) => {
      isLocked = true;
      return unlockOther;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(isLocked).toBe(false);
    await unlock();
    await (
      await waiting
    )();
  });

  test('of three who lock and unlock ten times each, never two are inside, and the server has had messages of it', async () => {
    const resource = randomUUID();
    const before = await client.messages();
    let inside = 0;
    let most = 0;
    const turns = waiters.map(async (waiter) => {
      for (let turn = 0; turn < 10; turn++) {
        const unlock = await waiter.lock(resource);
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
        await unlock();
      }
    });
    await Promise.all(turns);
    expect(most).toBe(1);
    expect((await client.messages()) - before).toBeGreaterThanOrEqual(120);
  }, 20_000);
});
