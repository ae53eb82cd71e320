/** Hunts rules of waiting that let somebody past those who wait, end a lease that should go on, or take the wrong place away. */
import { LOCK_LIMITS, type LockState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import { expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
const UNTIL = NOON + 60_000;
const FREE_MS = LOCK_LIMITS.passOverMs;
const TOKEN = NOON * 1_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const held = (expiresAt = NOON + 30_000): LockState => ({
  owner_id: 'ann',
  fencing_token: TOKEN,
  acquired_at: iso(NOON),
  expires_at: iso(expiresAt),
});

type Lock = ReturnType<typeof annHolds>;

const annHolds = (ttl = 30_000) =>
  scenario(lockManager)
    .when('acquire', { owner_id: 'ann', ttl_ms: ttl })
    .thenCommits({ event: 'acquired', state: held(NOON + ttl), expiresAt: NOON + ttl });

/** @param command digest of the command's id: by default that of the owner's only command */
const waits = (lock: Lock, owner: string, { since = NOON, until = UNTIL, command = owner } = {}): Lock =>
  lock.when('wait', { owner_id: owner, command, since, until });

type Otherwise = 'held' | 'queue_full';
const grant = (
  lock: Lock,
  owner: string,
  more: { ttl_ms?: number; take_up_ms?: number; command?: string; otherwise?: Otherwise } = {},
): Lock => lock.when('grant', { owner_id: owner, command: owner, otherwise: 'held', ...more });

const granted = (owner: string, at: number, ttl = 30_000, token = at * 1_000) => ({
  event: 'acquired',
  state: { owner_id: owner, fencing_token: token, acquired_at: iso(at), expires_at: iso(at + ttl) },
  expiresAt: at + ttl,
});

const free = { ...held(NOON), owner_id: null };

test('wait gives a place and leaves the lease as it is', () => {
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
  lock.at(NOON + 30_000).expires();
  lock.when('acquire', { owner_id: 'dee' }).thenRefuses('held', { current_owner_id: null, waiters: 2 });
});

test('who came earlier and was slower to the log has the better place', () => {
  const lock = waits(annHolds(), 'bob', { since: NOON + 5 });
  waits(lock, 'cy', { since: NOON + 2 }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'cy', position: 1, waiters: 2, until: iso(UNTIL) },
  });
});

test('another command of the same owner takes over its place, with its own end of the wait', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  waits(lock, 'bob', { since: NOON + 9, until: UNTIL + 1, command: 'bob-2' }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'bob', position: 1, waiters: 2, until: iso(UNTIL + 1) },
  });
  grant(lock, 'bob').thenRefuses('cancelled', { current_owner_id: 'ann', waiters: 2 });
  grant(lock, 'bob', { command: 'bob-2' }).thenRefuses('waits');
  // For good, whatever becomes of the later one.
  lock.when('leave', { owner_id: 'bob', command: 'bob-2' });
  grant(lock, 'bob').thenRefuses('cancelled', { waiters: 1 });
});

test('a command gives way to an acquire of the same owner that does not wait', () => {
  const lock = waits(annHolds(), 'bob').when('release', { owner_id: 'ann' });
  lock.when('acquire', { owner_id: 'bob', take_up_ms: 500 }).thenCommits(granted('bob', NOON, 500, TOKEN + 1));
  lock.when('release', { owner_id: 'bob' });
  grant(lock, 'bob').thenRefuses('cancelled', { current_owner_id: null });
});

test('the same command is not given a place twice: a copy finds it as it stands', () => {
  const lock = waits(annHolds(), 'bob');
  const before = lock.version;
  waits(lock, 'bob', { since: NOON + 500, until: UNTIL + 500 }).thenRefuses('waits');
  expect(lock.version).toBe(before);
});

test('a command whose wait is over is given no place, and takes none away from its owner', () => {
  const lock = waits(annHolds(), 'bob', { since: NOON + 10_000, command: 'new' }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'bob', position: 1, waiters: 1, until: iso(UNTIL) },
  });
  const late = waits(lock.at(NOON + 10_000), 'bob', { until: NOON + 9_000, command: 'old' });
  grant(late.thenRefuses('waits'), 'bob', { command: 'old' }).thenRefuses('held');
  grant(late, 'bob', { command: 'new' }).thenRefuses('waits');
});

test('the holder has a place only until the lease is extended', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'ann');
  grant(lock, 'ann', { ttl_ms: 60_000 }).thenCommits({
    event: 'acquired',
    state: held(NOON + 60_000),
    expiresAt: NOON + 60_000,
  });
  waits(lock, 'cy').thenCommits({
    event: 'queued',
    state: held(NOON + 60_000),
    data: { owner_id: 'cy', position: 2, waiters: 2, until: iso(UNTIL) },
  });
});

test('nobody waits for a lock that never was', () => {
  waits(scenario(lockManager), 'ann').thenRefuses('not_held');
});

test('as many wait as may, and those can ask again', () => {
  const lock = annHolds();
  for (let i = 0; i < LOCK_LIMITS.maxWaiters; i++) waits(lock, `w${i}`, { since: NOON + i });
  waits(lock, 'one-too-many').thenRefuses('queue_full', { current_owner_id: 'ann' });
  grant(lock, 'one-too-many', { otherwise: 'queue_full' });
  lock.thenRefuses('queue_full', { waiters: LOCK_LIMITS.maxWaiters, current_owner_id: 'ann' });
  waits(lock, 'w7', { since: NOON + 999, command: 'again' }).thenCommits({
    event: 'queued',
    state: held(),
    data: { owner_id: 'w7', position: 8, waiters: LOCK_LIMITS.maxWaiters, until: iso(UNTIL) },
  });
});

test('a free lock goes to the first alone, and its end is that of the take-up', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 }).when('release', { owner_id: 'ann' });
  lock.at(NOON + FREE_MS - 1);
  lock.when('acquire', { owner_id: 'cy' }).thenRefuses('held', { current_owner_id: null, waiters: 2 });
  grant(lock, 'cy').thenRefuses('waits');
  grant(lock, 'bob', { ttl_ms: 20_000, take_up_ms: 500 }).thenCommits(granted('bob', NOON + FREE_MS - 1, 500));
  lock.when('acquire', { owner_id: 'dee' }).thenRefuses('held', { current_owner_id: 'bob', waiters: 1 });
});

test('a lock that is free for two seconds goes to anybody who asks, and the places before stay, once', () => {
  const lock = waits(waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 }), 'dee', { since: NOON + 2 });
  lock.when('release', { owner_id: 'ann' }).at(NOON + FREE_MS);
  grant(lock, 'cy').thenCommits(granted('cy', NOON + FREE_MS));
  // Bob was passed over, and comes first all the same.
  lock.when('release', { owner_id: 'cy' });
  grant(lock, 'dee').thenRefuses('waits');
  // Passed a second time, he waits no more.
  lock.at(NOON + 2 * FREE_MS);
  grant(lock, 'dee').thenCommits(granted('dee', NOON + 2 * FREE_MS));
  grant(lock, 'bob').thenRefuses('held', { current_owner_id: 'dee' });
});

test('who does not wait is granted a lock that is free for two seconds, however it came free', () => {
  const released = waits(annHolds(), 'bob')
    .when('release', { owner_id: 'ann' })
    .at(NOON + FREE_MS);
  const expired = waits(annHolds(500), 'bob')
    .at(NOON + 500)
    .expires()
    .at(NOON + 500 + FREE_MS);
  for (const [lock, at] of [
    [released, NOON + FREE_MS],
    [expired, NOON + 500 + FREE_MS],
  ] as const) {
    lock
      .at(at - 1)
      .when('acquire', { owner_id: 'dee' })
      .thenRefuses('held', { waiters: 1 });
    lock.at(at).when('acquire', { owner_id: 'dee' }).thenCommits(granted('dee', at));
    lock.when('acquire', { owner_id: 'eve' }).thenRefuses('held', { current_owner_id: 'dee', waiters: 1 });
  }
});

test('take_up_ms is nothing to one who did not wait', () => {
  scenario(lockManager)
    .when('acquire', { owner_id: 'ann', ttl_ms: 20_000, take_up_ms: 500 })
    .thenCommits({ event: 'acquired', state: held(NOON + 20_000), expiresAt: NOON + 20_000 });
});

test('without a place a command is refused for good, as it is said; with one it is not, though its time is over', () => {
  const lock = waits(annHolds(), 'bob').when('release', { owner_id: 'ann' });
  for (const otherwise of ['held', 'queue_full'] as const) {
    grant(lock, 'cy', { otherwise }).thenRefuses(otherwise, { owner_id: 'cy', current_owner_id: null, waiters: 1 });
  }
  // By another replica's clock it may still be in time.
  lock.at(UNTIL);
  lock.when('acquire', { owner_id: 'dee', ttl_ms: 500 }).thenCommits(granted('dee', UNTIL, 500));
  grant(lock, 'bob').thenRefuses('held', { current_owner_id: 'dee' });
  const over = waits(annHolds(), 'bob').at(UNTIL + 5);
  grant(over, 'bob').thenRefuses('waits');
});

test('a retry of a grant is a replay, whatever became of the place', () => {
  const lock = waits(annHolds(), 'bob').when('release', { owner_id: 'ann' });
  const data = { owner_id: 'bob', command: 'bob', otherwise: 'held' } as const;
  lock.when('grant', data, { commandId: 'bobs' });
  lock.when('grant', data, { commandId: 'bobs' }).thenReplays(3);
  lock.when('acquire', { owner_id: 'bob', wait_ms: 60_000 }, { commandId: 'bobs' }).thenReplays(3);
});

test('leave takes the place of that command away, and no other; the lease goes on', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  lock.when('leave', { owner_id: 'bob', command: 'other' }).thenRefuses('not_waiting', { waiters: 2 });
  lock
    .when('leave', { owner_id: 'bob', command: 'bob' })
    .thenCommits({ event: 'left', state: held(), data: { owner_id: 'bob', waiters: 1 } });
  lock.when('leave', { owner_id: 'bob', command: 'bob' }).thenRefuses('not_waiting', { waiters: 1 });
});

test('a wait that is over can still be taken away by one whose clock is behind', () => {
  const lock = waits(annHolds(), 'bob').at(UNTIL + 5);
  lock
    .when('leave', { owner_id: 'bob', command: 'bob' })
    .thenCommits({ event: 'left', state: held(), data: { owner_id: 'bob', waiters: 0 } });
});

test('cancel takes one out who waits, and nobody else', () => {
  const lock = waits(waits(annHolds(), 'bob'), 'cy', { since: NOON + 1 });
  lock.when('cancel', { owner_id: 'ann' }).thenRefuses('not_waiting', { waiters: 2 });
  lock
    .when('cancel', { owner_id: 'bob' })
    .thenCommits({ event: 'cancelled', state: held(), data: { owner_id: 'bob', waiters: 1 } });
  lock.when('cancel', { owner_id: 'bob' }).thenRefuses('not_waiting', { waiters: 1 });
  lock.when('release', { owner_id: 'ann' });
  grant(lock, 'bob').thenRefuses('cancelled', { current_owner_id: null, waiters: 1 });
  scenario(lockManager).when('cancel', { owner_id: 'bob' }).thenRefuses('not_waiting');
});

test('break ends whoever holds the lock, says why, and keeps the places', () => {
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
  lock.when('withdraw', { owner_id: 'ann', fencing_token: TOKEN + 1 }).thenRefuses('not_holder');
  lock.when('withdraw', { owner_id: 'bob', fencing_token: TOKEN }).thenRefuses('not_holder');
  lock
    .when('withdraw', { owner_id: 'ann', fencing_token: TOKEN })
    .thenCommits({ event: 'released', state: free, data: { cause: 'gone', owner_id: 'ann', reason } });
  lock.when('withdraw', { owner_id: 'ann', fencing_token: TOKEN }).thenRefuses('not_held');
  expect(lock.state?.owner_id).toBeNull();
});
