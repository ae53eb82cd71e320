// Hunts: a lock that two hold, and one that an unlock leaves locked.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LockClient, Service } from '../src/contender.ts';
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
