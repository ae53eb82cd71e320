/**
 * Hunts bounds of a lease that are not kept, commands that are taken although they say nothing or too much, and an order of
 * precedence other than the protocol's. Who is answered what, answers.test.ts asks cell by cell.
 */
import { LOCK_LIMITS } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import { describe, expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
const TTL = 10_000;
const END = NOON + TTL;

type Locks = ReturnType<typeof newLock>;

function newLock() {
  return scenario(lockManager).at(NOON);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** A lock at its fourth version. */
function heldBy(owner: string): Locks {
  return newLock()
    .when('acquire', { owner_id: 'earlier', ttl_ms: TTL })
    .when('release', { owner_id: 'earlier' })
    .when('acquire', { owner_id: owner, ttl_ms: TTL })
    .when('refresh', { owner_id: owner, ttl_ms: TTL });
}

/** The token of a first grant at that time. */
const TOKEN = NOON * 1_000;
const VERSION = 4;

describe('a lease', () => {
  test('lasts 30 s when the command names no time, for a grant and for a refresh', () => {
    newLock()
      .when('acquire', { owner_id: 'me' })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: TOKEN, acquired_at: iso(NOON), expires_at: iso(NOON + 30_000) },
        version: 1,
        expiresAt: NOON + 30_000,
      })
      .after(1_000)
      .when('refresh', { owner_id: 'me' })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: TOKEN, acquired_at: iso(NOON), expires_at: iso(NOON + 31_000) },
        version: 2,
        expiresAt: NOON + 31_000,
      });
  });

  test('may be made shorter by a refresh', () => {
    newLock()
      .when('acquire', { owner_id: 'me', ttl_ms: 60_000 })
      .after(1)
      .when('acquire', { owner_id: 'me', ttl_ms: 500 })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: TOKEN, acquired_at: iso(NOON), expires_at: iso(NOON + 501) },
        expiresAt: NOON + 501,
      });
  });

  test.each([500, 501, 86_399_999, 86_400_000])('may last %i ms', (ttl) => {
    newLock().when('acquire', { owner_id: 'me', ttl_ms: ttl }).when('refresh', { owner_id: 'me', ttl_ms: ttl });
  });

  test.each([0, -1, 499, 499.999, 500.5, 86_400_001, Number.MAX_SAFE_INTEGER, 1e300])('cannot last %d ms', (ttl) => {
    newLock().when('acquire', { owner_id: 'me', ttl_ms: ttl }).thenIsMalformed();
    heldBy('me').when('refresh', { owner_id: 'me', ttl_ms: ttl }).thenIsMalformed();
  });

  test('that was granted after an end has a token above every earlier one, whatever ended them', () => {
    const lock = newLock();
    const tokens: number[] = [];
    const grant = (owner: string): void => {
      lock.when('acquire', { owner_id: owner, ttl_ms: TTL });
      tokens.push(lock.state?.fencing_token ?? 0);
    };
    grant('me');
    lock.when('release', { owner_id: 'me' });
    grant('me');
    lock.after(TTL).expires();
    grant('me');
    lock.when('refresh', { owner_id: 'me' }).after(30_000).expires();
    grant('you');
    // The server's time in microseconds, and one more for a second grant in the same millisecond.
    expect(tokens).toEqual([TOKEN, TOKEN + 1, TOKEN + TTL * 1_000, TOKEN + (TTL + 30_000) * 1_000]);
  });

  test('that was granted after its log was lost has a token above every earlier one, if the time goes on', () => {
    const before = newLock().when('acquire', { owner_id: 'me' }).when('release', { owner_id: 'me' });
    before.when('acquire', { owner_id: 'me' });
    const after = newLock().after(1).when('acquire', { owner_id: 'you' });
    expect(after.version).toBe(1);
    expect(after.state?.fencing_token).toBeGreaterThan(before.state?.fencing_token ?? 0);
  });

  test('that was granted while the time was set back has a token above the one before', () => {
    const lock = newLock().when('acquire', { owner_id: 'me' }).when('release', { owner_id: 'me' });
    lock.at(NOON - 3_600_000).when('acquire', { owner_id: 'you' });
    expect(lock.state?.fencing_token).toBe(TOKEN + 1);
  });

  test('is extended until the log says that it has ended, however late that is', () => {
    for (const now of [END - 1, END, END + 600_000]) {
      const lock = heldBy('me').at(now);
      lock.when('refresh', { owner_id: 'me', fencing_token: lock.state?.fencing_token, ttl_ms: TTL });
      expect(lock.state?.expires_at).toBe(iso(now + TTL));
    }
  });
});

describe('a command about a lock', () => {
  test.each([['acquire'], ['refresh'], ['release']] as const)('%s is malformed without a proper owner', (action) => {
    for (const owner of ['', 'x'.repeat(257), '😀'.repeat(257), '\ud800', 7, null, undefined]) {
      heldBy('me')
        .when(action, { owner_id: owner as string })
        .thenIsMalformed();
    }
  });

  test.each([['refresh'], ['release']] as const)('%s is malformed with a token that is none', (action) => {
    for (const token of [0, -1, 1.5, '3', null, Number.MAX_SAFE_INTEGER + 1]) {
      heldBy('me')
        .when(action, { owner_id: 'me', fencing_token: token as number })
        .thenIsMalformed();
    }
  });

  test('acquire takes no token, and release no time: a key that does nothing is an error', () => {
    heldBy('me')
      .when('acquire', { owner_id: 'me', fencing_token: TOKEN } as { owner_id: string })
      .thenIsMalformed()
      .when('release', { owner_id: 'me', ttl_ms: TTL } as { owner_id: string })
      .thenIsMalformed();
  });

  test.each([-1, 0.5, LOCK_LIMITS.maxWaitMs + 1])('acquire cannot wait %d ms', (wait) => {
    newLock().when('acquire', { owner_id: 'me', wait_ms: wait }).thenIsMalformed();
  });

  test('takes an owner of any 256 characters, and tells owners apart to the last of them', () => {
    const owner = '👩\n"\u0000é'.repeat(51) + 'a';
    newLock()
      .when('acquire', { owner_id: owner })
      .when('refresh', { owner_id: `${owner.slice(0, -1)}b` })
      .thenRefuses('not_holder', { current_owner_id: owner })
      .when('release', { owner_id: owner })
      .when('refresh', { owner_id: owner })
      .thenRefuses('not_held');
  });

  test('with the version of a free lock conflicts with nothing but that version', () => {
    newLock()
      .when('acquire', { owner_id: 'me' }, { expectedVersion: 1 })
      .thenConflicts(0)
      .when('acquire', { owner_id: 'me' }, { expectedVersion: 0 })
      .when('release', { owner_id: 'me' }, { expectedVersion: 1 })
      .when('acquire', { owner_id: 'you' }, { expectedVersion: 1 })
      .thenConflicts(2)
      .when('acquire', { owner_id: 'you' }, { expectedVersion: 2 });
  });

  test('conflicts before it is denied, and is denied for what the lock is, not for what it was', () => {
    heldBy('you')
      .when('acquire', { owner_id: 'me' }, { expectedVersion: 3 })
      .thenConflicts(VERSION)
      .when('acquire', { owner_id: 'me' }, { expectedVersion: VERSION })
      .thenRefuses('held');
  });

  test('replays its first outcome after the lease was refreshed, released, expired and granted anew (I5)', () => {
    newLock()
      .when('acquire', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'first' })
      .when('acquire', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'first' })
      .thenReplays(1)
      .when('refresh', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'second' })
      .when('release', { owner_id: 'me' }, { commandId: 'third' })
      .when('acquire', { owner_id: 'you', ttl_ms: TTL }, { commandId: 'fourth' })
      .after(TTL)
      .expires()
      .when('acquire', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'first' })
      .thenReplays(1)
      .when('refresh', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'second' })
      .thenReplays(2)
      .when('release', { owner_id: 'me' }, { commandId: 'third' })
      .thenReplays(3)
      .when('acquire', { owner_id: 'you', ttl_ms: TTL }, { commandId: 'fourth' })
      .thenReplays(4);
  });

  test('that was denied is decided anew when it comes again: a refusal is no commit', () => {
    heldBy('you')
      .when('acquire', { owner_id: 'me' }, { commandId: 'again' })
      .thenRefuses('held')
      .when('release', { owner_id: 'you' })
      .when('acquire', { owner_id: 'me', ttl_ms: TTL }, { commandId: 'again' })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: TOKEN + 2, acquired_at: iso(NOON), expires_at: iso(END) },
        expiresAt: END,
      });
  });
});
