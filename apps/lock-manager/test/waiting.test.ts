// Hunts: waiters that are passed over, forgotten, answered twice, or held up by those who have gone.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openConnection, sendCommand, sendQuery } from '../../../packages/runtime/test/support/wire.ts';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import { acquire, denial, followEvents, lease, LOCKS, release, success, type Connection } from './support/locks.ts';

let mesh: Mesh;

beforeAll(async () => {
  mesh = await startMesh(3);
}, 30_000);

afterAll(() => mesh?.stop());

const wait = (
  resource: string,
  owner: string,
  { waitMs = 10_000, ttl, takeUp, connection = mesh.connection, commandId }: WaitOptions = {},
): ReturnType<typeof sendCommand> =>
  sendCommand(connection, LOCKS, 'acquire', {
    entityId: resource,
    data: { owner_id: owner, ttl_ms: ttl, wait_ms: waitMs, take_up_ms: takeUp },
    timeoutMs: waitMs + 5_000,
    ...(commandId === undefined ? {} : { commandId }),
  });

interface WaitOptions {
  waitMs?: number;
  ttl?: number;
  takeUp?: number;
  connection?: Connection;
  commandId?: string;
}

/** Resolves when so many wait for a lock. */
async function queued(resource: string, waiters: number): Promise<void> {
  await until(`${waiters} wait for ${resource}`, async () => {
    const { body } = await sendQuery(mesh.connection, LOCKS, 'get', { entity_id: resource });
    return body['waiters'] === waiters ? true : undefined;
  });
}

test('a waiter gets the lock when it is released', async () => {
  const first = lease(await acquire(mesh.connection, 'released', 'a'));
  const waiting = wait('released', 'b');
  await queued('released', 1);
  success(await release(mesh.connection, 'released', 'a'), 'released');
  const { state } = lease(await waiting);
  expect(state.owner_id).toBe('b');
  expect(state.fencing_token).toBeGreaterThan(first.state.fencing_token);
});
test('a waiter gets the lock when the lease ends', async () => {
  lease(await acquire(mesh.connection, 'ended', 'a', { ttl: 1_000 }));
  const { state } = lease(await wait('ended', 'b'));
  expect(state.owner_id).toBe('b');
});
test('wait over', async () => {
  lease(await acquire(mesh.connection, 'over', 'a'));
  const before = performance.now();
  const denied = denial(await wait('over', 'b', { waitMs: 500 }));
  console.log(denied, performance.now() - before);
});
test('500', async () => {
  lease(await acquire(mesh.connection, 'many', 'a'));
  const before = performance.now();
  const order: number[] = [];
  const all = Array.from({ length: 500 }, async (_, i) => {
    await sleep(i);
    const reply = await wait('many', `w${i}`, { waitMs: 60_000 });
    order.push(i);
    success(await release(mesh.connection, 'many', `w${i}`), 'released');
    return reply;
  });
  await queued('many', 500);
  console.log('queued', performance.now() - before);
  const t = performance.now();
  success(await release(mesh.connection, 'many', 'a'), 'released');
  await Promise.all(all);
  console.log(
    'served',
    performance.now() - t,
    Math.max(...order.map((n, i) => Math.abs(n - i))),
    order.slice(0, 60).join(' '),
  );
}, 20_000);
