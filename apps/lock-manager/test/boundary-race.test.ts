/**
 * Hunts what the milliseconds around the end of a lease can do to it. The server commits an expiry without a
 * compare-and-set, and takes out whatever lease it finds under its subject by then: a commit that slips in between may be
 * acknowledged and then wiped. Nothing that was acknowledged may ever be.
 */
import { encode, entitySubject } from '@meshforge/protocol';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { byEntity, readCommits, type Commit } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { sendQuery, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, startReplica } from './support/lock-manager.ts';
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
} from './support/locks.ts';

const GUARD_MS = 250;

/** Every lock is free again: each lease that stood has been ended by the log. */
async function allFree(announced: Announced, resources: readonly string[]): Promise<void> {
  await until('every lease has ended', () => {
    const last = new Map(announced.changes().map(({ payload, event }) => [payload.entity_id, event]));
    return resources.every((resource) => last.get(resource) === 'released' || last.get(resource) === 'expired');
  });
}

/** What was acknowledged stands in the log, just so. */
function expectAcknowledged(announced: Announced, replies: readonly RawReply[]): void {
  const changes = new Map(
    announced
      .changes()
      .filter(({ event }) => event !== 'expired')
      .map((change) => [change.commandId, change]),
  );
  for (const reply of replies) expect(changes.get(reply.commandId)?.payload).toEqual(reply.payload);
}

test('refreshes, releases and acquires aimed at the end of a lease leave a flawless log (I1, I2, I7)', async () => {
  const mesh = endWithTest(await startMesh());
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 450 }, (_, i) => `race-${i}`);
  const acknowledged: RawReply[] = [];
  const denials = new Map<string, number>();

  const race = async (resource: string, index: number): Promise<void> => {
    const granted = await acquire(nats, resource, 'ann', { ttl: 500 + (index % 201) });
    const end = endOf(lease(granted));
    await sleep(Math.max(0, end + Math.random() * 350 - 300 - Date.now()));
    const [kind, send, owner] = (
      [
        ['refresh', refresh, 'ann'],
        ['release', release, 'ann'],
        ['acquire', acquire, 'bob'],
      ] as const
    )[index % 3] as [string, typeof acquire, string];
    const reply = await send(nats, resource, owner, kind === 'release' ? {} : { ttl: 500 });
    acknowledged.push(granted);
    if (reply.event === 'evt.lock.denied') {
      const key = `${kind} ${denial(reply).code}`;
      denials.set(key, (denials.get(key) ?? 0) + 1);
      return;
    }
    acknowledged.push(reply);
    // The decision was made before the guard band began, by the server's clock as the lock manager knows it.
    if (kind === 'refresh') expect(endOf(lease(reply)) - 500).toBeLessThan(end - GUARD_MS);
    if (kind === 'release') expect(endOf(success(reply, 'released'))).toBeLessThan(end - GUARD_MS);
  };
  await Promise.all(resources.map(race));

  await allFree(announced, resources);
  expect(flawsOf(announced.changes())).toEqual([]);
  expectAcknowledged(announced, acknowledged);
  expect(acknowledged.length).toBeGreaterThan(resources.length);
  const codes = ['refresh too_late', 'refresh not_held', 'release too_late', 'release not_held', 'acquire held'];
  expect(codes).toEqual(expect.arrayContaining([...denials.keys()]));
});

test('no grant is wiped by the expiry of the lease before it, however many are due at once (I2, I7)', async () => {
  // As it is configured for real use, the server takes its time for each expiry: long enough to get in between.
  const mesh = endWithTest(await startMesh(1, { configText: 'jetstream { sync_interval: always }' }));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 400 }, (_, i) => `due-${i}`);
  const due = Date.now() + 4_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(nats, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  granted.map(lease);
  await until('the first lease expires', () => announced.changes().some(({ event }) => event === 'expired'));

  // The server goes through them oldest first; whoever comes from behind finds leases whose end is on its way.
  const acknowledged: RawReply[] = [...granted];
  const left = resources.toReversed();
  const takeOver = async (): Promise<void> => {
    for (let resource = left.shift(); resource !== undefined; resource = left.shift()) {
      const answers = await Promise.all([
        release(nats, resource, 'ann'),
        acquire(nats, resource, 'bob', { ttl: 2_000 }),
      ]);
      acknowledged.push(...answers.filter((reply) => reply.event !== 'evt.lock.denied'));
    }
  };
  await Promise.all(Array.from({ length: 16 }, takeOver));

  await allFree(announced, resources);
  expect(flawsOf(announced.changes())).toEqual([]);
  expectAcknowledged(announced, acknowledged);
});

/** Writes the end of a lease into the log as the server does that had it on its way already. */
async function writeStrayExpiry(nats: Connection, resource: string, stored: Commit): Promise<void> {
  const { headers } = stored;
  for (const name of headers.keys()) {
    if (/^Nats-(Schedule|Expected-|Msg-Id|Rollup)/.test(name)) headers.delete(name);
  }
  headers.set('Nats-Scheduler', entitySubject(LOCKS, resource, 'acquired'));
  headers.set('Nats-Schedule-Next', 'purge');
  const body = encode({ entity_id: resource, entity_version: stored.version, state: stored.state });
  const acknowledgement = await nats.request(entitySubject(LOCKS, resource, 'expired'), body, {
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
      expect(body['entities']).toEqual([released.payload]);
    });

    test('gives the next holder the next version and a higher token (I1, I7)', async () => {
      const { nats, announced, resource, released } = await releasedThenExpired(cached);
      const next = lease(await acquire(nats, resource, 'bob'));
      expect(next).toMatchObject({ entity_version: 4, state: { owner_id: 'bob', fencing_token: 4 } });
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
