/**
 * Hunts a cell of the tables in docs/locks.md that the rules decide otherwise, a cell that is missing, and one that says
 * something else than the protocol promises for its answer.
 */
import { commandsOf, LOCK_LIMITS, type LockState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import { describe, expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';
import {
  ACTIONS,
  allNames,
  nameOf,
  readCells,
  STATES,
  type Action,
  type Asker,
  type State,
} from './support/answers.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
const TTL = 10_000;
const END = NOON + TTL;
const WAIT = { since: NOON, until: NOON + LOCK_LIMITS.maxWaitMs + 1_000_000 };
/** Of the lease that stands, or stood last; its version is another by then. */
const TOKEN = 3;

const locks = () => scenario(lockManager).at(NOON);
type Locks = ReturnType<typeof locks>;

const iso = (ms: number): string => new Date(ms).toISOString();

/** Who asks is "me" everywhere. */
interface Example {
  lock: Locks;
  now: number;
  /** Who holds it. */
  holder: string | null;
  waiters: number;
}

/** A lock that was granted twice and refreshed, so that its token is neither its first nor its version. */
function heldBy(owner: string): Locks {
  return locks()
    .when('acquire', { owner_id: 'earlier', ttl_ms: TTL })
    .when('release', { owner_id: 'earlier' })
    .when('acquire', { owner_id: owner, ttl_ms: TTL })
    .when('refresh', { owner_id: owner, ttl_ms: TTL });
}

function withQueue(lock: Locks, ...owners: string[]): Locks {
  for (const [index, owner] of owners.entries()) {
    lock.when('queue', { owner_id: owner, ...WAIT, since: WAIT.since + index });
  }
  return lock;
}

/** At the edges of each span of a lease. */
const MOMENTS: Partial<Record<State, number[]>> = {
  held: [NOON, END - 251],
  'held, last 250 ms': [END - 250, END - 1],
  'due, not yet ended': [END, END + 1, END + 600_000],
};

/** Locks in that state, each with "me" in that place. */
function examplesOf(state: State, asker: Asker): Example[] {
  const free = { now: END + 1, holder: null, waiters: 0 };
  const mine = asker === 'its last holder' ? 'me' : 'you';
  switch (state) {
    case 'never held':
      return [{ ...free, lock: locks() }];
    case 'free, released':
      return [{ ...free, lock: heldBy(mine).when('release', { owner_id: mine }) }];
    case 'free, expired':
      return [{ ...free, lock: heldBy(mine).at(END).expires() }];
    case 'free, owners wait': {
      const queues: Partial<Record<Asker, string[]>> = {
        'first in the queue': ['me', 'cy'],
        'later in the queue': ['bob', 'me', 'cy'],
      };
      const queue = queues[asker] ?? ['bob', 'cy'];
      return ['you', 'me']
        .filter((owner) => !queue.includes(owner))
        .map((owner) => {
          const lock = withQueue(heldBy(owner), ...queue).when('release', { owner_id: owner });
          return { ...free, lock, waiters: queue.length };
        });
    }
    case 'held':
    case 'held, last 250 ms':
    case 'due, not yet ended': {
      const holder = asker === 'its holder' ? 'me' : 'you';
      const own = asker === 'who waits for it' ? ['me'] : [];
      const queues = asker === 'an operator' ? [[], ['bob', 'cy']] : [own, ['bob', ...own, 'cy']];
      return (MOMENTS[state] ?? []).flatMap((now) =>
        queues.map((queue) => ({ lock: withQueue(heldBy(holder), ...queue), now, holder, waiters: queue.length })),
      );
    }
  }
}

const TOKENS: Record<string, number | undefined> = { 'right token': TOKEN, 'older token': 1, 'future token': 99 };

function send(lock: Locks, action: Action): Locks {
  const me = { owner_id: 'me' };
  const [name, token = ''] = action.split(', ');
  const guarded = { ...me, fencing_token: TOKENS[token] };
  if (name === 'refresh') return lock.when('refresh', { ...guarded, ttl_ms: 2 * TTL });
  if (name === 'release') return lock.when('release', guarded);
  if (name === 'cancel') return lock.when('cancel', me);
  if (name === 'break') return lock.when('break', { reason: 'it hangs', operator_id: 'olga' });
  return lock.when('acquire', { ...me, ttl_ms: 2 * TTL, ...(token === '' ? {} : { wait_ms: 5_000 }) });
}

/** Checks the answer with every detail that the protocol promises for it. */
function expectAnswer({ lock, now, holder, waiters }: Example, action: Action, answer: string): void {
  lock.at(now);
  const before = { state: lock.state as LockState, version: lock.version };
  const version = before.version + 1;
  const ends = { expires_at: iso(now + 2 * TTL) };
  const expiresAt = now + 2 * TTL;
  send(lock, action);
  switch (answer) {
    case 'granted': {
      const state = { owner_id: 'me', fencing_token: version, acquired_at: iso(now), ...ends };
      lock.thenCommits({ event: 'acquired', state, version, expiresAt });
      return;
    }
    case 'extended':
      lock.thenCommits({ event: 'acquired', state: { ...before.state, ...ends }, version, expiresAt });
      expect(lock.state?.fencing_token).toBe(TOKEN);
      return;
    case 'released': {
      const state = { ...before.state, owner_id: null, expires_at: iso(now) };
      const data = { cause: 'broken', owner_id: holder as string, reason: 'it hangs', operator_id: 'olga' };
      lock.thenCommits({ event: 'released', state, version, ...(action === 'break' ? { data } : {}) });
      return;
    }
    case 'cancelled':
      // It changes neither the lock nor its lease.
      lock.thenCommits({ event: 'cancelled', ...before, data: { owner_id: 'me', waiters: waiters - 1 } });
      return;
    default: {
      // What waits is what the rule calls held: the command that asks to wait is then held back.
      const code = answer === 'waits' ? 'held' : answer;
      const isTimed = holder !== null && (code === 'held' || code === 'too_late');
      lock.thenRefuses(code, {
        entity_id: 'entity',
        owner_id: action === 'break' ? null : 'me',
        ...(code === 'not_waiting' ? {} : { current_owner_id: holder, expires_at: holder === null ? null : iso(END) }),
        retry_after_ms: isTimed ? Math.max(0, END - now) : undefined,
        waiters: waiters > 0 && (code === 'held' || code === 'not_waiting') ? waiters : undefined,
      });
      expect({ state: lock.state, version: lock.version }).toEqual(before);
    }
  }
}

const cells = readCells();

test('the tables have every cell once, and no other', () => {
  expect(cells.map(nameOf).sort()).toEqual(allNames().sort());
});

test('what can be asked is what the protocol knows', () => {
  const asked = new Set([...ACTIONS, 'break'].map((action) => action.replace(/,.*/, '')));
  expect(asked).toEqual(new Set(commandsOf(lockManager.actions).map(([name]) => name)));
});

test('a command waits for the end of a lease where it would commit against one in its last moments', () => {
  for (const cell of cells) {
    const isLate = cell.state === 'held, last 250 ms' || cell.state === 'due, not yet ended';
    const commits = ['granted', 'extended', 'released', 'cancelled'].includes(cell.answer);
    expect(`${nameOf(cell)}: ${cell.waitsForTheEnd}`).toBe(`${nameOf(cell)}: ${isLate && commits}`);
  }
});

describe.each(STATES)('a lock that is: %s', (state) => {
  test.each(cells.filter((cell) => cell.state === state))(
    'answers $asker that asks for $action: $answer',
    ({ asker, action, answer }) => {
      const examples = examplesOf(state, asker);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) expectAnswer(example, action, answer);
    },
  );
});
