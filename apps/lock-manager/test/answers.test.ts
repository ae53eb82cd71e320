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
/** Of the lease that stands, or stood last: the second in the same millisecond. */
const TOKEN = NOON * 1_000 + 1;

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

/** A lock that was granted twice and refreshed, so that its token is not its first. */
function heldBy(owner: string): Locks {
  return locks()
    .when('acquire', { owner_id: 'earlier', ttl_ms: TTL })
    .when('release', { owner_id: 'earlier' })
    .when('acquire', { owner_id: owner, ttl_ms: TTL })
    .when('refresh', { owner_id: owner, ttl_ms: TTL });
}

function withWaiters(lock: Locks, ...owners: string[]): Locks {
  for (const [index, owner] of owners.entries()) {
    lock.when('wait', { owner_id: owner, command: owner, ...WAIT, since: WAIT.since + index });
  }
  return lock;
}

/** A lease that is due stands until the log says that it has ended. */
const MOMENTS = [NOON, END - 1, END, END + 1, END + 600_000];

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
    case 'free, owners wait':
    case 'free for 2 s, owners wait': {
      const lists: Partial<Record<Asker, string[]>> = {
        'first who waits': ['me', 'cy'],
        'later who waits': ['bob', 'me', 'cy'],
      };
      const list = lists[asker] ?? ['bob', 'cy'];
      const after = (freed: number): number => freed + LOCK_LIMITS.passOverMs - (state === 'free, owners wait' ? 1 : 0);
      return ['you', 'me']
        .filter((owner) => !list.includes(owner))
        .flatMap((owner) => [
          { lock: withWaiters(heldBy(owner), ...list).when('release', { owner_id: owner }), now: after(NOON) },
          {
            lock: withWaiters(heldBy(owner), ...list)
              .at(END + 500)
              .expires(),
            now: after(END),
          },
        ])
        .map((example) => ({ ...free, ...example, waiters: list.length }));
    }
    case 'held': {
      const holder = asker === 'its holder' ? 'me' : 'you';
      const own = asker === 'who waits for it' ? ['me'] : [];
      const lists = asker === 'an operator' ? [[], ['bob', 'cy']] : [own, ['bob', ...own, 'cy']];
      return MOMENTS.flatMap((now) =>
        lists.map((list) => ({ lock: withWaiters(heldBy(holder), ...list), now, holder, waiters: list.length })),
      );
    }
  }
}

const TOKENS: Record<string, number | undefined> = {
  'right token': TOKEN,
  'older token': TOKEN - 1,
  'future token': TOKEN + 1,
};

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
      const token = Math.max((before.state?.fencing_token ?? 0) + 1, now * 1_000);
      const state = { owner_id: 'me', fencing_token: token, acquired_at: iso(now), ...ends };
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
      const isTimed = holder !== null && code === 'held';
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
