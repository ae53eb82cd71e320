// Hunts for what the shipped permissions forbid and the real agents, their clients and their subscribers need: here they
// run, as processes of their own, with the shipped configuration and keys made for them.
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { ChangeEvent } from '@meshforge/runtime';
import { runSmoke } from '@meshforge/smoke';
import { headers } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { runningMeshForThisFile } from './running-mesh.ts';
import { contents } from './streams.ts';

const running = runningMeshForThisFile();
const { connectAs, meshOf, violations } = running;

test('every smoke check passes for the client, and nobody lacks a permission', async () => {
  const { inboxPrefix, seedFile } = running.users.client;
  const report = await runSmoke({
    connection: { servers: [running.url], nkeySeedFile: seedFile },
    inboxPrefix,
    readyTimeoutMs: 60_000,
    patienceMs: 20_000,
  });
  expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(report.passed).toBeGreaterThan(50);
  expect(violations()).toEqual([]);
}, 120_000);

test('the client of the runtime sends, asks, updates and watches as the client user', async () => {
  const mesh = await meshOf('client');
  const watched: string[] = [];
  const watch = mesh.watch(inventoryContract, { events: ['created', 'adjusted'] });
  const watching = (async () => {
    for await (const event of watch) {
      if (event.kind === 'change' && event.entityId === 'used') watched.push(`${event.event} ${event.entityVersion}`);
      if (watched.length === 2) break;
    }
  })();
  const data = { name: 'bolt', quantity: 1 };
  const created = await mesh.request(inventoryContract, 'create', { entityId: 'used', expectedVersion: 0, data });
  expect(created.kind).toBe('committed');
  const updated = await mesh.update(inventoryContract, 'used', (state) => {
    return { action: 'adjust', data: { delta: state?.quantity ?? 0 } };
  });
  expect(updated?.payload).toMatchObject({ entity_version: 2, state: { quantity: 2 } });
  expect(await mesh.get(inventoryContract, 'used')).toMatchObject({ entity_version: 2 });
  expect((await mesh.history(inventoryContract, 'used')).events).toHaveLength(2);
  expect((await mesh.list(inventoryContract, { prefix: 'used' })).entities).toHaveLength(1);
  await watching;
  expect(watched).toEqual(['created 1', 'adjusted 2']);

  const owner = { owner_id: 'client' };
  expect((await mesh.request(lockContract, 'acquire', { entityId: 'used', data: owner })).kind).toBe('committed');
  const other = { owner_id: 'another' };
  expect((await mesh.request(lockContract, 'acquire', { entityId: 'used', data: other })).kind).toBe('denied');
  expect((await mesh.request(lockContract, 'release', { entityId: 'used', data: owner })).kind).toBe('committed');
  expect(violations()).toEqual([]);
});

describe('a durable subscription as the subscriber user', () => {
  test('misses nothing: not what was before it, not what its handler failed at, not what came while it was away', async () => {
    const client = await meshOf('client');
    const entityId = 'followed';
    await client.request(inventoryContract, 'create', { entityId, data: { name: 'bolt' } });
    const adjust = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await client.request(inventoryContract, 'adjust', { entityId, data: { delta: 1 } });
      }
    };
    await adjust(4);

    const handled: number[] = [];
    let failures = 0;
    const handle = ({ entityId: id, entityVersion }: ChangeEvent<unknown>): void => {
      if (id !== entityId) return;
      if (entityVersion === 3 && failures++ === 0) throw new Error('not yet');
      handled.push(entityVersion);
    };
    const subscribe = async (): Promise<{ stop(): Promise<void> }> => {
      const mesh = await meshOf('subscriber', 'MESHFORGE');
      const subscription = await mesh.subscribe(inventoryContract, { durable: 'followers' }, handle);
      return {
        stop: async () => {
          await subscription.stop();
          await mesh.close();
        },
      };
    };
    const first = await subscribe();
    await until('the first five are handled', () => new Set(handled).size === 5);
    await first.stop();
    await adjust(3);
    const second = await subscribe();
    await until('all eight are handled', () => new Set(handled).size === 8);
    await second.stop();
    expect(failures).toBeGreaterThan(1);
    expect([...new Set(handled)].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(violations()).toEqual([]);
  });

  test('may choose other events later', async () => {
    const client = await meshOf('client');
    const subscriber = await meshOf('subscriber', 'MESHFORGE');
    const heard: string[] = [];
    const hear = ({ entityId, event }: ChangeEvent<unknown>): void => {
      if (entityId === 'choosy') heard.push(event);
    };
    const options = { durable: 'choosers', from: 'now' } as const;
    const first = await subscriber.subscribe(inventoryContract, { ...options, events: ['created', 'deleted'] }, hear);
    const send = async (action: 'create' | 'adjust' | 'delete', data: object): Promise<void> => {
      await client.request(inventoryContract, action, { entityId: 'choosy', data: data as never });
    };
    await send('create', { name: 'bolt' });
    await send('adjust', { delta: 1 });
    await send('delete', {});
    await until('the deletion is heard', () => heard.includes('deleted'));
    await first.stop();
    await subscriber.subscribe(inventoryContract, { ...options, events: ['adjusted', 'deleted'] }, hear);
    await send('create', { name: 'bolt' });
    await send('adjust', { delta: 1 });
    await send('delete', {});
    await until('the second deletion is heard', () => heard.filter((event) => event === 'deleted').length === 2);
    expect(heard).toEqual(['created', 'deleted', 'adjusted', 'deleted']);
    expect(violations()).toEqual([]);
  });

  test('hears of the locks that the server itself ends', async () => {
    const client = await meshOf('client');
    const subscriber = await meshOf('subscriber', 'MESHFORGE');
    const events: string[] = [];
    await subscriber.subscribe(lockContract, { durable: 'lock-followers', from: 'now' }, ({ entityId, event }) => {
      if (entityId === 'short') events.push(event);
    });
    await client.request(lockContract, 'acquire', { entityId: 'short', data: { owner_id: 'me', ttl_ms: 500 } });
    await until('the lease has ended', () => events.includes('expired'));
    expect(violations()).toEqual([]);
  });
});

test('a client cannot have the server write traces of its commands into a log, or send them as events', async () => {
  const client = await connectAs('client');
  const operator = await connectAs('operator');
  const heard: string[] = [];
  operator.subscribe('evt.inventory.fulfilled', { callback: (_, { subject }) => void heard.push(subject) });
  await operator.flush();
  const before = await contents(operator);
  for (const destination of [
    'ent.inventory.traced.0.created',
    'ent.lock.traced.0.acquired',
    'evt.inventory.fulfilled',
  ]) {
    for (const only of ['false', 'true']) {
      const traced = headers();
      traced.set('Nats-Trace-Dest', destination);
      traced.set('Nats-Trace-Only', only);
      client.publish('qry.inventory.get', '{"entity_id":"used"}', { headers: traced });
    }
  }
  await client.flush();
  await sleep(500);
  await operator.flush();
  expect(heard).toEqual([]);
  expect(await contents(operator)).toEqual(before);
});

test('both agents end on SIGTERM with 0, and have logged no error', async () => {
  for (const { child } of running.agents) child.kill('SIGTERM');
  for (const { exited } of running.agents) expect(await exited).toEqual([0, null]);
  const levels = running.agents.flatMap(({ lines }) => lines.map((line) => JSON.parse(line) as { level: number }));
  expect(levels.filter(({ level }) => level >= 40)).toEqual([]);
});
