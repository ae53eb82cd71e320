/**
 * Hunts a lease that the wire tells otherwise than the protocol: the shape of each answer and each event, an expiry that
 * comes early or tells of another lease.
 */
import { HEADERS } from '@meshforge/protocol';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { byEntity, readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { sendCommand, sendQuery } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  endOf,
  followEvents,
  isLease,
  lease,
  LOCKS,
  readLock,
  refresh,
  release,
  success,
  type Announced,
  type Connection,
  type LockEvent,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let mesh: Mesh;
let nats: Connection;
let announced: Announced;

beforeAll(async () => {
  mesh = await startMesh();
  nats = mesh.connection;
  announced = await followEvents(nats);
});

afterAll(async () => {
  await mesh.stop();
});

/** The change that a command caused, once it was announced. */
function changeBy(commandId: string): Promise<LockEvent> {
  return until(`the change of ${commandId} is announced`, () =>
    announced.changes().find((change) => change.commandId === commandId && change.event !== 'expired'),
  );
}

function expiryOf(resource: string): Promise<LockEvent> {
  return until(`the lease of ${resource} expires`, () =>
    announced.changes(resource).find((change) => change.event === 'expired'),
  );
}

describe('a grant', () => {
  test('is answered with the lease, announced with the same payload, and shown by get', async () => {
    const reply = await acquire(nats, 'granted', 'ann', { ttl: 60_000 });
    const payload = lease(reply);
    const { state } = payload;
    expect(payload).toEqual({
      entity_id: 'granted',
      entity_version: 1,
      state: {
        owner_id: 'ann',
        fencing_token: Date.parse(state.acquired_at) * 1_000,
        acquired_at: state.acquired_at,
        expires_at: new Date(Date.parse(state.acquired_at) + 60_000).toISOString(),
      },
    });
    const change = await changeBy(reply.commandId);
    expect(change).toMatchObject({ event: 'acquired', payload });
    expect(await readLock(nats, 'granted')).toEqual(payload);
  });

  test('lasts 30 s when the command names no time', async () => {
    const { state } = lease(await acquire(nats, 'default', 'ann'));
    expect(Date.parse(state.expires_at) - Date.parse(state.acquired_at)).toBe(30_000);
  });

  test('carries the ids of its command to the event and the reply', async () => {
    const ids = { [HEADERS.correlationId]: 'order 7', [HEADERS.causationId]: 'cause-é' };
    const reply = await acquire(nats, 'ids', 'ann', { commandId: 'ids-1', headers: ids });
    expect(reply.commandId).toBe('ids-1');
    for (const [name, value] of Object.entries(ids)) expect(reply.headers?.get(name)).toBe(value);
    const [stored] = byEntity(await readCommits(nats, LOCKS)).get('ids') ?? [];
    expect(stored?.commandId).toBe('ids-1');
    for (const [name, value] of Object.entries(ids)) expect(stored?.headers.get(name)).toBe(value);
  });

  test('is a refresh for the holder: the same token and beginning, a new end', async () => {
    const first = lease(await acquire(nats, 'twice', 'ann', { ttl: 30_000 }));
    const second = lease(await acquire(nats, 'twice', 'ann', { ttl: 60_000 }));
    expect(second).toEqual({
      ...first,
      entity_version: 2,
      state: { ...first.state, expires_at: second.state.expires_at },
    });
    expect(endOf(second)).toBeGreaterThan(endOf(first));
  });
});

describe('a denial', () => {
  test('names the holder, the end and when to try again; it is announced and changes nothing', async () => {
    const held = lease(await acquire(nats, 'held', 'ann', { ttl: 60_000 }));
    const reply = await acquire(nats, 'held', 'bob', { commandId: 'held-bob' });
    const payload = denial(reply);
    expect(payload).toEqual({
      entity_id: 'held',
      owner_id: 'bob',
      code: 'held',
      reason: payload.reason,
      current_owner_id: 'ann',
      expires_at: held.state.expires_at,
      retry_after_ms: payload.retry_after_ms,
    });
    expect(payload.reason).toContain('ann');
    expect(payload.retry_after_ms).toBeGreaterThan(0);
    expect(payload.retry_after_ms).toBeLessThanOrEqual(60_000);
    await until('the denial is announced', () =>
      announced.denials.some((other) => other.commandId === 'held-bob' && other.payload.code === 'held'),
    );
    expect(await readLock(nats, 'held')).toEqual(held);
  });

  test('of a refresh or a release says whether somebody holds the lock, and who', async () => {
    const free = { current_owner_id: null, expires_at: null };
    for (const send of [refresh, release]) {
      expect(denial(await send(nats, 'strangers', 'bob'))).toMatchObject({ code: 'not_held', ...free });
    }
    const { state } = lease(await acquire(nats, 'strangers', 'ann', { ttl: 60_000 }));
    const held = { current_owner_id: 'ann', expires_at: state.expires_at };
    for (const send of [refresh, release]) {
      expect(denial(await send(nats, 'strangers', 'bob'))).toMatchObject({ code: 'not_holder', ...held });
      const wrong = denial(await send(nats, 'strangers', 'ann', { token: state.fencing_token + 1 }));
      expect(wrong).toMatchObject({ code: 'not_holder', ...held });
      expect(wrong).not.toHaveProperty('retry_after_ms');
    }
    expect((await readLock(nats, 'strangers')).entity_version).toBe(1);
  });

  test('leaves a lock that nobody ever held without an entity', async () => {
    denial(await release(nats, 'never', 'ann'));
    const { errorCode, body } = await sendQuery(nats, LOCKS, 'get', { entity_id: 'never' });
    expect(errorCode).toBe(404);
    expect(body).toMatchObject({ payload: { code: 'not_found' } });
  });
});

describe('a release', () => {
  test('frees the lock at once, keeps the token to be outgrown, and takes the expiry out', async () => {
    const granted = lease(await acquire(nats, 'released', 'ann', { ttl: 3_000 }));
    const reply = await release(nats, 'released', 'ann', { token: granted.state.fencing_token });
    const payload = success(reply, 'released');
    expect(payload).toEqual({
      entity_id: 'released',
      entity_version: 2,
      state: { ...granted.state, owner_id: null, expires_at: payload.state.expires_at },
    });
    expect(endOf(payload)).toBeLessThan(endOf(granted));
    expect((await changeBy(reply.commandId)).payload).toEqual(payload);
    expect(await readLock(nats, 'released')).toEqual(payload);

    const next = lease(await acquire(nats, 'released', 'bob', { ttl: 60_000 }));
    expect(next).toMatchObject({ entity_version: 3, state: { owner_id: 'bob' } });
    expect(next.state.fencing_token).toBeGreaterThan(granted.state.fencing_token);
    // A lease that ended later has expired by now: had the first one's expiry been left behind, it would be here.
    await acquire(nats, 'released-clock', 'ann', { ttl: 3_000 });
    await expiryOf('released-clock');
    expect(announced.changes('released').map(({ event }) => event)).toEqual(['acquired', 'released', 'acquired']);
    expect(await readLock(nats, 'released')).toEqual(next);
  });
});

describe('an expiry', () => {
  test('comes by itself, never early, with the payload of the lease that ended', async () => {
    const granted = lease(await acquire(nats, 'expiring', 'ann', { ttl: 700 }));
    const expired = await expiryOf('expiring');
    expect(expired.payload).toEqual(granted);
    expect(expired.time).toBeGreaterThanOrEqual(endOf(granted));
    const after = await readLock(nats, 'expiring');
    expect(after).toEqual({ ...granted, state: { ...granted.state, owner_id: null } });
    const next = lease(await acquire(nats, 'expiring', 'bob'));
    expect(next).toMatchObject({ entity_version: 2, state: { owner_id: 'bob' } });
    expect(next.state.fencing_token).toBeGreaterThan(granted.state.fencing_token);
  });

  test('of a refreshed lease comes at the new end, and only there', async () => {
    lease(await acquire(nats, 'refreshed', 'ann', { ttl: 3_000 }));
    const refreshed = lease(await refresh(nats, 'refreshed', 'ann', { ttl: 4_000 }));
    const expired = await expiryOf('refreshed');
    expect(expired.payload).toEqual(refreshed);
    expect(expired.time).toBeGreaterThanOrEqual(endOf(refreshed));
    expect(announced.changes('refreshed').map(({ event }) => event)).toEqual(['acquired', 'acquired', 'expired']);
  });

  test('of a lease that a refresh made shorter comes at the earlier end', async () => {
    const long = lease(await acquire(nats, 'shortened', 'ann', { ttl: 86_400_000 }));
    expect(endOf(long) - Date.parse(long.state.acquired_at)).toBe(86_400_000);
    const short = lease(await acquire(nats, 'shortened', 'ann', { ttl: 500 }));
    expect((await expiryOf('shortened')).payload).toEqual(short);
  });

  test('leaves nothing for the former holder to refresh or release', async () => {
    lease(await acquire(nats, 'gone', 'ann', { ttl: 500 }));
    await expiryOf('gone');
    expect(denial(await refresh(nats, 'gone', 'ann')).code).toBe('not_held');
    expect(denial(await release(nats, 'gone', 'ann')).code).toBe('not_held');
  });

  test('stands in the history and in the list like any other event', async () => {
    lease(await acquire(nats, 'told', 'ann', { ttl: 500 }));
    await expiryOf('told');
    lease(await acquire(nats, 'told', 'bob'));
    success(await release(nats, 'told', 'bob'), 'released');
    const { body } = await sendQuery(nats, LOCKS, 'history', { entity_id: 'told' });
    const events = body['events'] as { event: string; entity_version: number }[];
    expect(events.map(({ event, entity_version: version }) => [event, version])).toEqual([
      ['evt.lock.released', 3],
      ['evt.lock.expired', 1],
    ]);
    const { body: page } = await sendQuery(nats, LOCKS, 'list', { prefix: 'told' });
    expect(page['entities']).toMatchObject([{ entity_id: 'told', entity_version: 3, state: { owner_id: null } }]);
  });
});

test('50 acquires at once make one holder, and each other owner learns who it is', async () => {
  const replies = await Promise.all(
    Array.from({ length: 50 }, (_, i) => acquire(nats, 'rush', `owner-${i}`, { ttl: 60_000 })),
  );
  const granted = replies.filter(isLease).map(lease);
  expect(granted).toHaveLength(1);
  const denied = replies.filter((reply) => !isLease(reply)).map(denial);
  expect(new Set(denied.map(({ code, current_owner_id: holder }) => `${code} ${holder}`))).toEqual(
    new Set([`held ${granted[0]?.state.owner_id}`]),
  );
});

test('50 acquires of one owner at once are one grant and 49 refreshes with its token', async () => {
  const replies = await Promise.all(Array.from({ length: 50 }, () => acquire(nats, 'eager', 'ann', { ttl: 60_000 })));
  const leases = replies.map(lease);
  expect(leases.map(({ entity_version: version }) => version).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  expect(new Set(leases.map(({ state }) => state.fencing_token)).size).toBe(1);
});

test('a command that is malformed is rejected, not denied, and says what was wrong', async () => {
  for (const data of [{}, { owner_id: '' }, { owner_id: 'ann', ttl_ms: 499 }, { owner_id: 'ann', ttl: 500 }]) {
    const reply = await sendCommand(nats, LOCKS, 'acquire', { entityId: 'malformed', data });
    expect(reply).toMatchObject({ event: 'evt.lock.rejected', payload: { code: 'invalid_command' }, errorCode: 400 });
  }
  expect((await sendQuery(nats, LOCKS, 'get', { entity_id: 'malformed' })).errorCode).toBe(404);
});

test('the log that all of this left is without a flaw (I1, I7)', async () => {
  expect(announced.changes().length).toBeGreaterThan(50);
  expect(flawsOf(announced.changes())).toEqual([]);
});
