/**
 * Hunts an expiry that the server had on its way when its lease was released: it lands behind the release, and repeats the
 * version of a lease that is no more. Nothing may go back to that version, be revived by it, or be ended by it.
 */
import { encode, entitySubject } from '@meshforge/protocol';
import { describe, expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { byEntity, readCommits, type Commit } from '../../../packages/runtime/test/support/stream-witness.ts';
import { sendQuery, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { startMesh, startReplica } from './support/lock-manager.ts';
import {
  acquire,
  denial,
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
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** Writes the end of a lease into the log as the server does that had it on its way already. */
async function writeStrayExpiry(nats: Connection, resource: string, stored: Commit): Promise<void> {
  const { headers } = stored;
  for (const name of headers.keys()) {
    if (/^Nats-(Schedule|Expected-|Msg-Id|Rollup)/.test(name)) headers.delete(name);
  }
  headers.set('Nats-Scheduler', entitySubject(LOCKS, resource, stored.version, 'acquired'));
  headers.set('Nats-Schedule-Next', 'purge');
  const body = encode({ entity_id: resource, entity_version: stored.version, state: stored.state });
  const acknowledgement = await nats.request(entitySubject(LOCKS, resource, 'x', 'expired'), body, {
    headers,
    timeout: 30_000,
  });
  expect(acknowledgement.json()).not.toHaveProperty('error');
}

async function storedLease(nats: Connection, resource: string): Promise<Commit> {
  const found = byEntity(await readCommits(nats, LOCKS)).get(resource) ?? [];
  const stored = found.findLast(({ event }) => event === 'acquired');
  if (stored === undefined) throw new Error(`no lease of ${resource} is in the stream`);
  return stored;
}

describe('an expiry that lands behind the release of its lease', () => {
  interface Released {
    nats: Connection;
    announced: Announced;
    resource: string;
    granted: RawReply;
    released: RawReply;
  }

  /** A lock at version 3, released, with the expiry of version 2 behind it. */
  async function releasedThenExpired(cached: boolean, strays = 1): Promise<Released> {
    const mesh = endWithTest(await startMesh());
    const nats = mesh.connection;
    const announced = await followEvents(nats);
    const resource = 'odd.name *>';
    const granted = await acquire(nats, resource, 'ann', { ttl: 60_000 });
    lease(await refresh(nats, resource, 'ann', { ttl: 60_000 }));
    const stored = await storedLease(nats, resource);
    const released = await release(nats, resource, 'ann');
    for (let i = 0; i < strays; i++) await writeStrayExpiry(nats, resource, stored);
    if (!cached) {
      await Promise.all(mesh.replicas.map((agent) => agent.stop()));
      mesh.replicas.push(await startReplica(mesh.server.url));
    }
    return { nats, announced, resource, granted, released };
  }

  describe.each([
    ['knows the lock from before', true],
    ['meets the lock for the first time', false],
  ])('and a lock manager that %s', (_, cached) => {
    test.each([1, 2])('leaves the lock free at the version of the release (expiries: %i)', async (strays) => {
      const { nats, resource, released } = await releasedThenExpired(cached, strays);
      expect(await readLock(nats, resource)).toEqual(released.payload);
      const { body } = await sendQuery(nats, LOCKS, 'list', {});
      expect(body['entities']).toEqual([{ ...released.payload, remaining_ms: 0, waiters: 0 }]);
    });

    test('does not hide from the history what came before it', async () => {
      const { nats, resource } = await releasedThenExpired(cached);
      lease(await acquire(nats, resource, 'bob'));
      success(await release(nats, resource, 'bob'), 'released');
      const { body } = await sendQuery(nats, LOCKS, 'history', { entity_id: resource });
      const events = (body['events'] as { event: string; entity_version: number }[]).map(
        ({ event, entity_version: version }) => `${event} ${version}`,
      );
      expect(events).toEqual(['evt.lock.released 5', 'evt.lock.released 3']);
    });

    test('gives the next holder the next version and a higher token (I1, I7)', async () => {
      const { nats, announced, resource, granted, released } = await releasedThenExpired(cached);
      const next = lease(await acquire(nats, resource, 'bob'));
      expect(next).toMatchObject({ entity_version: 4, state: { owner_id: 'bob' } });
      expect(next.state.fencing_token).toBeGreaterThan(lease(granted).state.fencing_token);
      expect(await readLock(nats, resource)).toEqual(next);
      expect(success(await release(nats, resource, 'bob'), 'released').entity_version).toBe(5);
      const versions = announced.changes().map(({ event, payload }) => [event, payload.entity_version]);
      expect(versions).toEqual([
        ['acquired', 1],
        ['acquired', 2],
        ['released', 3],
        ['expired', 2],
        ['acquired', 4],
        ['released', 5],
      ]);
      expect(released.payload).toMatchObject({ entity_version: 3 });
    });

    test('does not make a retry something new (I5)', async () => {
      const { nats, resource, granted, released } = await releasedThenExpired(cached);
      const { commandId: grantId, event, payload } = granted;
      const again = await acquire(nats, resource, 'ann', { commandId: grantId, ttl: 60_000 });
      expect(again).toMatchObject({ replayed: true, event, payload });
      const twice = await release(nats, resource, 'ann', { commandId: released.commandId });
      expect(twice).toMatchObject({ replayed: true, event: released.event, payload: released.payload });
      expect(await readLock(nats, resource)).toEqual(released.payload);
    });

    test('neither revives nor ends anything: the lock is not held, and its version is that of the release', async () => {
      const { nats, resource } = await releasedThenExpired(cached);
      expect(denial(await refresh(nats, resource, 'ann')).code).toBe('not_held');
      expect(denial(await release(nats, resource, 'ann')).code).toBe('not_held');
      const stale = await acquire(nats, resource, 'bob', { expectedVersion: 2 });
      expect(stale).toMatchObject({ event: 'evt.lock.conflict', payload: { current_version: 3 } });
      expect(isLease(await acquire(nats, resource, 'bob', { expectedVersion: 3 }))).toBe(true);
    });
  });
});
