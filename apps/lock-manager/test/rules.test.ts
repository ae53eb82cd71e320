/**
 * Hunts a cell of the protocol's table that the rules decide otherwise: every action on every state of a lock, with the
 * token given rightly, wrongly and not at all; and what a refusal tells.
 */
import { LOCK_LIMITS, type LockState } from '@meshforge/protocol';
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

/** A lock that has gone through three versions, so that its token, 3, is not its version, 4. */
function heldBy(owner: string): Locks {
  return newLock()
    .when('acquire', { owner_id: 'earlier', ttl_ms: TTL })
    .when('release', { owner_id: 'earlier' })
    .when('acquire', { owner_id: owner, ttl_ms: TTL })
    .when('refresh', { owner_id: owner, ttl_ms: TTL });
}

const TOKEN = 3;
const VERSION = 4;

interface Cell {
  lock: () => Locks;
  now: number;
  /** Who holds it. */
  holder: string | null;
  acquire: 'grant' | 'extend' | 'held' | 'too_late';
  /** With the right token or none; with a wrong one it is `not_holder` wherever there is a holder. */
  refresh: 'extend' | 'not_held' | 'not_holder' | 'too_late';
  /** What the runtime lets happen; in the last 250 ms it waits for the end of the lease instead, and decides anew. */
  release: 'end' | 'not_held' | 'not_holder';
}

const mine = { lock: () => heldBy('me'), holder: 'me' };
const theirs = {
  lock: () => heldBy('you'),
  holder: 'you',
  acquire: 'held',
  refresh: 'not_holder',
  release: 'not_holder',
} as const;
const open = { acquire: 'extend', refresh: 'extend', release: 'end' } as const;
const closed = { acquire: 'too_late', refresh: 'too_late', release: 'end' } as const;
const free = { holder: null, acquire: 'grant', refresh: 'not_held', release: 'not_held' } as const;
const overdue = END + 600_000;

const table: Record<string, Cell> = {
  'never held': { ...free, lock: newLock, now: NOON },
  'released by me': { ...free, lock: () => heldBy('me').when('release', { owner_id: 'me' }), now: NOON + 1 },
  'released by another': { ...free, lock: () => heldBy('you').when('release', { owner_id: 'you' }), now: NOON + 1 },
  'mine, expired': { ...free, lock: () => heldBy('me').at(END).expires(), now: END + 1 },
  'of another, expired': { ...free, lock: () => heldBy('you').at(END).expires(), now: END + 1 },
  'mine, just granted': { ...mine, ...open, now: NOON },
  'mine, 251 ms before its end': { ...mine, ...open, now: END - 251 },
  'mine, 250 ms before its end': { ...mine, ...closed, now: END - 250 },
  'mine, 1 ms before its end': { ...mine, ...closed, now: END - 1 },
  'mine, at its end': { ...mine, ...closed, now: END },
  'mine, overdue': { ...mine, ...closed, now: END + 1 },
  'mine, overdue by 10 minutes': { ...mine, ...closed, now: overdue },
  'of another, just granted': { ...theirs, now: NOON },
  'of another, 250 ms before its end': { ...theirs, now: END - 250 },
  'of another, at its end': { ...theirs, now: END },
  'of another, overdue': { ...theirs, now: END + 1 },
  'of another, overdue by 10 minutes': { ...theirs, now: overdue },
};

type Expected = Cell['acquire'] | Cell['refresh'] | Cell['release'];

/** Checks the outcome with every detail that the protocol promises for it. */
function expectOutcome(
  lock: Locks,
  cell: Cell,
  before: { state: LockState | null; version: number },
  outcome: Expected,
) {
  const { now, holder } = cell;
  const version = before.version + 1;
  const ttl = { expires_at: iso(now + 2 * TTL) };
  switch (outcome) {
    case 'grant': {
      const state = { owner_id: 'me', fencing_token: version, acquired_at: iso(now), ...ttl };
      lock.thenCommits({ event: 'acquired', state, version, expiresAt: now + 2 * TTL });
      return;
    }
    case 'extend': {
      const state = { ...(before.state as LockState), ...ttl };
      lock.thenCommits({ event: 'acquired', state, version, expiresAt: now + 2 * TTL });
      expect(lock.state?.fencing_token).toBe(TOKEN);
      return;
    }
    case 'end': {
      const state = { ...(before.state as LockState), owner_id: null, expires_at: iso(now) };
      lock.thenCommits({ event: 'released', state, version });
      return;
    }
    case 'held':
    case 'too_late':
    case 'not_holder':
    case 'not_held': {
      const retry = outcome === 'held' || outcome === 'too_late';
      lock.thenRefuses(outcome, {
        entity_id: 'entity',
        owner_id: 'me',
        current_owner_id: holder,
        expires_at: holder === null ? null : iso(END),
        retry_after_ms: retry ? Math.max(0, END - now) : undefined,
      });
      expect({ state: lock.state, version: lock.version }).toEqual(before);
    }
  }
}

describe.each(Object.entries(table))('a lock that is %s', (_, cell) => {
  const wrong = cell.holder === null ? 'not_held' : 'not_holder';
  const me = { owner_id: 'me' };
  const cases: [title: string, send: (lock: Locks) => Locks, outcome: Expected][] = [
    ['acquire', (lock) => lock.when('acquire', { ...me, ttl_ms: 2 * TTL }), cell.acquire],
    ['refresh without a token', (lock) => lock.when('refresh', { ...me, ttl_ms: 2 * TTL }), cell.refresh],
    [
      'refresh with the right token',
      (lock) => lock.when('refresh', { ...me, fencing_token: TOKEN, ttl_ms: 2 * TTL }),
      cell.refresh,
    ],
    [
      'refresh with an older token',
      (lock) => lock.when('refresh', { ...me, fencing_token: 1, ttl_ms: 2 * TTL }),
      wrong,
    ],
    [
      'refresh with the version as token',
      (lock) => lock.when('refresh', { ...me, fencing_token: VERSION, ttl_ms: 2 * TTL }),
      wrong,
    ],
    ['release without a token', (lock) => lock.when('release', me), cell.release],
    ['release with the right token', (lock) => lock.when('release', { ...me, fencing_token: TOKEN }), cell.release],
    ['release with an older token', (lock) => lock.when('release', { ...me, fencing_token: 1 }), wrong],
    ['release with a token yet to come', (lock) => lock.when('release', { ...me, fencing_token: 99 }), wrong],
  ];
  test.each(cases)('answers %s as the protocol says', (_title, send, outcome) => {
    const lock = cell.lock().at(cell.now);
    const before = { state: lock.state, version: lock.version };
    expectOutcome(send(lock), cell, before, outcome);
  });
});

describe('a lease', () => {
  test('lasts 30 s when the command names no time, for a grant and for a refresh', () => {
    newLock()
      .when('acquire', { owner_id: 'me' })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: 1, acquired_at: iso(NOON), expires_at: iso(NOON + 30_000) },
        version: 1,
        expiresAt: NOON + 30_000,
      })
      .after(1_000)
      .when('refresh', { owner_id: 'me' })
      .thenCommits({
        event: 'acquired',
        state: { owner_id: 'me', fencing_token: 1, acquired_at: iso(NOON), expires_at: iso(NOON + 31_000) },
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
        state: { owner_id: 'me', fencing_token: 1, acquired_at: iso(NOON), expires_at: iso(NOON + 501) },
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
    expect(tokens).toEqual([1, 3, 4, 6]);
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
        state: { owner_id: 'me', fencing_token: 6, acquired_at: iso(NOON), expires_at: iso(END) },
        expiresAt: END,
      });
  });
});
