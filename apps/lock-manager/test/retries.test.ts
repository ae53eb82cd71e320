/**
 * Hunts a retry that gets something else than its first outcome, or commits a second time. A lease's own message is gone
 * from the stream as soon as the next one replaces it, so its outcome must have been kept elsewhere.
 */
import { HEADERS } from '@meshforge/protocol';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { sendCommand, sendQuery } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  followEvents,
  lease,
  LOCKS,
  readLock,
  refresh,
  release,
  success,
  type Announced,
  type Connection,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let mesh: Mesh;
let nats: Connection;
let announced: Announced;
/** Of commands that wait, announced as refused. */
const rejections: string[] = [];

beforeAll(async () => {
  mesh = await startMesh();
  nats = mesh.connection;
  announced = await followEvents(nats);
  nats.subscribe('evt.lock.rejected', {
    callback: (_error, message) => {
      const id = message.headers?.get(HEADERS.commandId) ?? '';
      if (id.startsWith('forgotten')) rejections.push(id);
    },
  });
});

afterAll(async () => {
  await mesh.stop();
});

describe('a retry (I5)', () => {
  test('of an acquire gets the first lease again: at once, refreshed, released, granted anew', async () => {
    const id = 'retry-acquire';
    const first = await acquire(nats, 'retried', 'ann', { commandId: id, ttl: 60_000 });
    expect(first.replayed).toBe(false);
    const again = async (): Promise<void> => {
      const reply = await acquire(nats, 'retried', 'ann', { commandId: id, ttl: 60_000 });
      expect(reply).toMatchObject({ replayed: true, event: first.event, payload: first.payload, commandId: id });
    };
    await again();
    lease(await refresh(nats, 'retried', 'ann', { commandId: 'retry-refresh' }));
    await again();
    const released = await release(nats, 'retried', 'ann', { commandId: 'retry-release' });
    await again();
    lease(await acquire(nats, 'retried', 'bob', { ttl: 60_000 }));
    await again();
    expect(await release(nats, 'retried', 'ann', { commandId: 'retry-release' })).toMatchObject({
      replayed: true,
      event: released.event,
      payload: released.payload,
    });
    expect(await readLock(nats, 'retried')).toMatchObject({ entity_version: 4, state: { owner_id: 'bob' } });
  });

  test('after the lease expired, and after 20 later commands, gets the first lease again', async () => {
    const first = await acquire(nats, 'late', 'ann', { commandId: 'late-1', ttl: 500 });
    await until('the lease expires', () => announced.changes('late').some(({ event }) => event === 'expired'));
    const again = async (): Promise<void> => {
      const reply = await acquire(nats, 'late', 'ann', { commandId: 'late-1', ttl: 500 });
      expect(reply).toMatchObject({ replayed: true, event: first.event, payload: first.payload });
    };
    await again();
    for (let i = 0; i < 10; i++) {
      lease(await acquire(nats, 'late', `owner-${i}`));
      success(await release(nats, 'late', `owner-${i}`), 'released');
    }
    await again();
    expect((await readLock(nats, 'late')).entity_version).toBe(21);
  });

  test('that comes after more commands than are remembered never commits', async () => {
    lease(await acquire(nats, 'forgotten', 'ann', { commandId: 'forgotten-1', ttl: 60_000 }));
    for (let i = 0; i < 40; i++) lease(await refresh(nats, 'forgotten', 'ann', { ttl: 60_000 }));
    const before = await readLock(nats, 'forgotten');
    const reply = await acquire(nats, 'forgotten', 'ann', { commandId: 'forgotten-1', ttl: 60_000 });
    expect(reply).toMatchObject({ event: 'evt.lock.rejected', payload: { code: 'decided_before' } });
    expect(await readLock(nats, 'forgotten')).toEqual(before);
  });

  test('that comes after more commands than are remembered, and waits, is recognised and holds up nobody', async () => {
    const id = 'forgotten-waiting-1';
    const wait = async (owner: string, commandId?: string) =>
      await sendCommand(nats, LOCKS, 'acquire', {
        entityId: 'forgotten-waiting',
        data: { owner_id: owner, ttl_ms: 60_000, wait_ms: 20_000 },
        ...(commandId !== undefined && { commandId }),
      });
    const queued = async (waiters: number) =>
      await until(`${waiters} wait`, async () => {
        const { body } = await sendQuery(nats, LOCKS, 'get', { entity_id: 'forgotten-waiting' });
        return body['waiters'] === waiters;
      });
    lease(await wait('ann', id));
    for (let i = 0; i < 40; i++) lease(await refresh(nats, 'forgotten-waiting', 'ann', { ttl: 60_000 }));
    success(await release(nats, 'forgotten-waiting', 'ann'), 'released');
    lease(await acquire(nats, 'forgotten-waiting', 'bob', { ttl: 60_000 }));
    const one = wait('eve');
    await queued(1);
    const again = wait('ann', id);
    await queued(2);
    const behind = wait('joe');
    await queued(3);
    success(await release(nats, 'forgotten-waiting', 'bob'), 'released');
    lease(await one);
    success(await release(nats, 'forgotten-waiting', 'eve'), 'released');
    expect(await again).toMatchObject({ event: 'evt.lock.rejected', payload: { code: 'decided_before' } });
    // It has committed: nobody is told that it was refused.
    expect(rejections).toEqual([]);
    expect(announced.denials.filter(({ commandId }) => commandId === id)).toEqual([]);
    expect(lease(await behind).state.owner_id).toBe('joe');
  });

  test('of a denied command is decided anew, and may then be granted', async () => {
    lease(await acquire(nats, 'denied-first', 'ann'));
    const options = { commandId: 'denied-first-bob' };
    denial(await acquire(nats, 'denied-first', 'bob', options));
    success(await release(nats, 'denied-first', 'ann'), 'released');
    const granted = await acquire(nats, 'denied-first', 'bob', options);
    expect(lease(granted)).toMatchObject({ entity_version: 3, state: { owner_id: 'bob' } });
    expect(granted.replayed).toBe(false);
  });

  test('on another lock is refused and leaves that lock alone', async () => {
    lease(await acquire(nats, 'one', 'ann', { commandId: 'one-id' }));
    for (const rolledUp of [false, true]) {
      if (rolledUp) lease(await refresh(nats, 'one', 'ann'));
      const reply = await acquire(nats, 'other', 'ann', { commandId: 'one-id' });
      // Once the message of the lease is gone, nobody knows of which lock it was.
      const code = rolledUp ? 'decided_before' : 'invalid_command';
      expect(reply).toMatchObject({ event: 'evt.lock.rejected', payload: { code } });
    }
    expect((await sendQuery(nats, LOCKS, 'get', { entity_id: 'other' })).errorCode).toBe(404);
  });
});

test('the log that all of this left is without a flaw (I1, I7)', () => {
  expect(flawsOf(announced.changes())).toEqual([]);
});
