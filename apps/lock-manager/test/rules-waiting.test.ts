/** Hunts rules of waiting that let somebody past the queue, end a lease that should go on, or take the wrong place away. */
import { LOCK_LIMITS, type LockState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import { expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';
import { keyOf } from '../src/waiting/queue.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
const UNTIL = NOON + 60_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const held = (expiresAt = NOON + 30_000): LockState => ({
  owner_id: 'ann',
  fencing_token: 1,
  acquired_at: iso(NOON),
  expires_at: iso(expiresAt),
});

type Lock = ReturnType<typeof annHolds>;

const annHolds = (ttl = 30_000) =>
  scenario(lockManager)
    .when('acquire', { owner_id: 'ann', ttl_ms: ttl })
    .thenCommits({ event: 'acquired', state: held(NOON + ttl), expiresAt: NOON + ttl });

const waits = (lock: Lock, owner: string, { since = NOON, until = UNTIL } = {}): Lock =>
  lock.when('queue', { owner_id: owner, since, until });

const free = { ...held(NOON), owner_id: null };

test('queue gives a place and leaves the lease as it is', () => {
  const lock = waits(annHolds(), 'bob').thenCommits({
    event: 'queued',
    state: held(),
    version: 1,
    data: { owner_id: 'bob', position: 1, waiters: 1, until: iso(UNTIL) },
  });
  waits(lock, 'cy', { since: NOON + 1 }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'cy', position: 2, waiters: 2, until: iso(UNTIL) },
  });
  // The end of the lease is still that of its own commit.
  lock.expires().when('acquire', { owner_id: 'dee' }).thenRefuses('held', { current_owner_id: null, waiters: 2 });
});

test('who came earlier and was slower to the log has the better place', () => {
  const lock = waits(annHolds(), 'bob', { since: NOON + 5 });
  waits(lock, 'cy', { since: NOON + 2 }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'cy', position: 1, waiters: 2, until: iso(UNTIL) },
  });
});

test('queue again keeps the place, with another end of the wait', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  waits(lock, 'bob', { since: NOON + 9, until: UNTIL + 1 }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'bob', position: 1, waiters: 2, until: iso(UNTIL + 1) },
  });
});

test('an earlier command of the owner, late to the log, does not take the place of a later one', () => {
  const lock = waits(annHolds(), 'bob', { since: NOON + 5, until: UNTIL });
  waits(lock, 'bob', { since: NOON + 4, until: UNTIL + 4 }).thenRefuses('cancelled', { waiters: 1 });
  waits(lock, 'bob', { since: NOON + 5, until: UNTIL + 5 }).thenRefuses('cancelled');
  // The very same one is a retry of the lock manager's own.
  waits(lock, 'bob', { since: NOON + 5, until: UNTIL }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'bob', position: 1, waiters: 1, until: iso(UNTIL) },
  });
});

test('the holder has a place only until the lease is extended', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'ann', { until: UNTIL });
  lock.when('grant', { owner_id: 'ann', ttl_ms: 60_000, until: UNTIL });
  lock.thenCommits({
    event: 'acquired',
    state: { ...held(), expires_at: iso(NOON + 60_000) },
    expiresAt: NOON + 60_000,
  });
  waits(lock, 'cy').thenCommits({
    event: 'queued',
    state: { ...held(), expires_at: iso(NOON + 60_000) },
    data: { owner_id: 'cy', position: 2, waiters: 2, until: iso(UNTIL) },
  });
});

test('nobody waits for a lock that never was', () => {
  scenario(lockManager).when('queue', { owner_id: 'ann', since: NOON, until: UNTIL }).thenRefuses('not_held');
});

test('as many wait as may, and those can ask anew', () => {
  const lock = annHolds();
  for (let i = 0; i < LOCK_LIMITS.maxWaiters; i++) waits(lock, `w${i}`, { since: NOON + i });
  waits(lock, 'one-too-many').thenRefuses('queue_full', { waiters: LOCK_LIMITS.maxWaiters, current_owner_id: 'ann' });
  waits(lock, 'w7', { since: NOON + 999 }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'w7', position: 8, waiters: LOCK_LIMITS.maxWaiters, until: iso(UNTIL) },
  });
});

test('a free lock goes to the first alone, and its end is that of the take-up', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 }).when('release', { owner_id: 'ann' });
  lock.when('acquire', { owner_id: 'cy' }).thenRefuses('held', { current_owner_id: null, waiters: 2 });
  lock.when('grant', { owner_id: 'cy', until: UNTIL }).thenRefuses('held', { current_owner_id: null });
  lock.when('grant', { owner_id: 'bob', ttl_ms: 20_000, take_up_ms: 500, until: UNTIL }).thenCommits({
    event: 'acquired',
    state: { owner_id: 'bob', fencing_token: 3, acquired_at: iso(NOON), expires_at: iso(NOON + 500) },
    version: 3,
    expiresAt: NOON + 500,
  });
  lock.when('acquire', { owner_id: 'dee' }).thenRefuses('held', { current_owner_id: 'bob', waiters: 1 });
});

test('take_up_ms is nothing to one who did not wait', () => {
  scenario(lockManager)
    .when('acquire', { owner_id: 'ann', ttl_ms: 20_000, take_up_ms: 500 })
    .thenCommits({ event: 'acquired', state: held(NOON + 20_000), expiresAt: NOON + 20_000 });
});

test('a grant takes a place with the very end of its own wait: not one that has ended, nor that of a later command', () => {
  const lock = waits(annHolds(), 'bob').when('release', { owner_id: 'ann' });
  lock.when('grant', { owner_id: 'bob', until: UNTIL + 1 }).thenRefuses('not_waiting', { waiters: 1 });
  lock.at(UNTIL).when('grant', { owner_id: 'bob', until: UNTIL }).thenRefuses('not_waiting');
  // Nobody waits any more: now the lock is anybody's.
  lock.when('acquire', { owner_id: 'dee', ttl_ms: 500 }).thenCommits({
    event: 'acquired',
    state: { owner_id: 'dee', fencing_token: 3, acquired_at: iso(UNTIL), expires_at: iso(UNTIL + 500) },
    expiresAt: UNTIL + 500,
  });
});

test('a retry of a grant is a replay, whatever became of the place', () => {
  const lock = waits(annHolds(), 'bob').when('release', { owner_id: 'ann' });
  lock.when('grant', { owner_id: 'bob', until: UNTIL }, { commandId: 'bobs' });
  lock.when('grant', { owner_id: 'bob', until: UNTIL }, { commandId: 'bobs' }).thenReplays(3);
  lock.when('acquire', { owner_id: 'bob', wait_ms: 60_000 }, { commandId: 'bobs' }).thenReplays(3);
});

test('leave takes the place of that wait away, and no other; the lease goes on', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  lock.when('leave', { key: keyOf('bob'), until: UNTIL - 1 }).thenRefuses('not_waiting', { waiters: 2 });
  lock
    .when('leave', { key: keyOf('bob'), owner_id: 'bob', until: UNTIL })
    .thenCommits({ event: 'left', state: held(), data: { owner_id: 'bob', waiters: 1 } });
  const data = { until: new Date(UNTIL).toISOString(), waiters: 0 };
  lock.when('leave', { key: keyOf('cy') }).thenCommits({ event: 'left', state: held(), data });
  lock.when('leave', { key: keyOf('cy') }).thenRefuses('not_waiting');
});

test('a wait that is over can still be taken away by one whose clock is behind', () => {
  const lock = waits(annHolds(), 'bob').at(UNTIL + 5);
  lock
    .when('leave', { key: keyOf('bob'), owner_id: 'bob', until: UNTIL })
    .thenCommits({ event: 'left', state: held(), data: { owner_id: 'bob', waiters: 0 } });
});

test('cancel takes one out who waits, and nobody else', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  lock.when('cancel', { owner_id: 'ann' }).thenRefuses('not_waiting', { waiters: 2 });
  lock
    .when('cancel', { owner_id: 'bob' })
    .thenCommits({ event: 'cancelled', state: held(), data: { owner_id: 'bob', waiters: 1 } });
  lock.when('cancel', { owner_id: 'bob' }).thenRefuses('not_waiting', { waiters: 1 });
  lock.when('release', { owner_id: 'ann' }).when('grant', { owner_id: 'bob', until: UNTIL });
  lock.thenRefuses('not_waiting', { current_owner_id: null, waiters: 1 });
  scenario(lockManager).when('cancel', { owner_id: 'bob' }).thenRefuses('not_waiting');
});

test('break ends whoever holds the lock, says why, and keeps the queue', () => {
  const lock = waits(annHolds(), 'bob');
  lock.when('break', { reason: 'burnt', operator_id: 'ops' }).thenCommits({
    event: 'released',
    state: free,
    data: { cause: 'broken', owner_id: 'ann', reason: 'burnt', operator_id: 'ops' },
  });
  lock.when('break', { reason: 'again' }).thenRefuses('not_held', { owner_id: null });
  for (const action of ['refresh', 'release'] as const) lock.when(action, { owner_id: 'ann' }).thenRefuses('not_held');
  lock.when('acquire', { owner_id: 'ann' }).thenRefuses('held', { waiters: 1 });
  annHolds()
    .when('break', { reason: 'no name' })
    .thenCommits({
      event: 'released',
      state: free,
      data: { cause: 'broken', owner_id: 'ann', reason: 'no name' },
    });
  annHolds()
    .when('break', { reason: 'x'.repeat(LOCK_LIMITS.reasonCharacters + 1) })
    .thenIsMalformed();
  annHolds().when('break', { reason: '' }).thenIsMalformed();
});

test('withdraw takes back that very grant alone', () => {
  const reason = 'the owner is gone: nobody takes answers at its inbox any more';
  const lock = annHolds();
  lock.when('withdraw', { owner_id: 'ann', fencing_token: 2 }).thenRefuses('not_holder');
  lock.when('withdraw', { owner_id: 'bob', fencing_token: 1 }).thenRefuses('not_holder');
  lock
    .when('withdraw', { owner_id: 'ann', fencing_token: 1 })
    .thenCommits({ event: 'released', state: free, data: { cause: 'gone', owner_id: 'ann', reason } });
  lock.when('withdraw', { owner_id: 'ann', fencing_token: 1 }).thenRefuses('not_held');
  expect(lock.state?.owner_id).toBeNull();
});
