/**
 * The rules of leases: pure functions of a lock, a command's data and the time.
 *
 * - A lease ends when the log says so, that is when its expiry is committed, and not when some clock passes `expires_at`. So no two
 *   grants of one lock are ever unexpired in the log (I7).
 * - The token of a grant is the server's time in microseconds, and always above the one before: it grows also over a purge of the
 *   lock's log.
 * - A free lock goes to the first who waits. Once it has been free for 2 s, by its own `expires_at`, nobody serves that one, and
 *   it goes to anybody who asks.
 */
import { LOCK_LIMITS, type LockState } from '@meshforge/protocol';
import { annotate, commit, reject, type RuleContext, type RuleResult } from '@meshforge/runtime';
import { denied, isHeld, quoted, type Held } from './denied.ts';
import {
  commandKey,
  end,
  inTime,
  isTooLong,
  join,
  ownerKey,
  passOver,
  positionOf,
  readWaitList,
  waitersIn,
  without,
  writeWaitList,
  type WaitList,
} from './wait-list.ts';

type Result = RuleResult<LockState>;
type Denial = ReturnType<typeof denied>;

export function acquire(
  lock: LockState | null,
  data: { owner_id: string; ttl_ms: number; take_up_ms?: number | undefined },
  context: RuleContext,
): Result {
  const { owner_id: owner, ttl_ms: ttlMs } = data;
  const { now } = context;
  const list = listOf(context);
  const waiting = waitersIn(list);
  if (isHeld(lock)) {
    if (lock.owner_id === owner) return extend(lock, owner, ttlMs, context);
    const reason = `${quoted(lock.owner_id)} holds the lock until ${lock.expires_at}${others(waiting)}`;
    return denied('held', owner, lock, reason, leftOf(lock, waiting, now));
  }
  const key = ownerKey(owner);
  const position = positionOf(list, key);
  if (waiting.length > 0 && position !== 0 && !isLongFree(lock, now)) {
    return denied('held', owner, null, `nobody holds the lock${others(waiting)}`, { waiters: waiting.length });
  }
  const token = Math.max((lock?.fencing_token ?? 0) + 1, now * 1_000);
  const expiresAt = now + leaseMs(data, position !== -1);
  return lease({ owner, token, acquiredAt: iso(now), expiresAt }, passOver(list, key), context);
}

/** How long a lease lasts that is granted now. */
export function leaseMs(
  { ttl_ms: ttlMs, take_up_ms: takeUpMs = ttlMs }: { ttl_ms: number; take_up_ms?: number | undefined },
  hasWaited: boolean,
): number {
  return hasWaited ? Math.min(takeUpMs, ttlMs) : ttlMs;
}

/** Whether a lock that nobody holds has been free for so long that nobody can be serving the first who waits. */
function isLongFree(lock: LockState | null, now: number): boolean {
  return lock !== null && now - Date.parse(lock.expires_at) >= LOCK_LIMITS.passOverMs;
}

/** The code of a refusal that says: not yet. It is for the lock manager alone, no command is answered so. */
export const WAITS = 'waits';

/**
 * A waiting command decided once more, under its own id. It commits only with its own place: a command that was cancelled, or has
 * given way to another one of its owner, gets nothing by it. Without a place it is refused for good.
 */
export function grant(
  lock: LockState | null,
  data: {
    owner_id: string;
    ttl_ms: number;
    take_up_ms?: number | undefined;
    command: string;
    otherwise: 'held' | 'queue_full';
  },
  context: RuleContext,
): Result {
  const { owner_id: owner, command, otherwise } = data;
  const place = readWaitList(context.notes).find((each) => each.owner === ownerKey(owner) && each.command === command);
  if (place !== undefined && place.status !== 'ended') {
    // Once its time is over the place is taken away, and not before: another clock may not have come so far.
    const result = place.until > context.now ? acquire(lock, data, context) : undefined;
    return result instanceof Object && !('code' in result) ? result : reject(WAITS, 'it is not its turn');
  }
  const code = place === undefined ? otherwise : 'cancelled';
  const left = leftOf(lock, waitersIn(listOf(context)), context.now);
  return denied(code, owner, isHeld(lock) ? lock : null, REASONS[code], left);
}

const REASONS = {
  held: 'the wait is over',
  cancelled: 'the wait was cancelled, or the same owner has asked again',
  queue_full: `${LOCK_LIMITS.maxWaiters} owners wait for the lock, as many as may: try again later`,
} as const;

/** Gives a command a place. The lease goes on, whoever has it: only with a place is a lock granted to one who waits. */
export function wait(
  lock: LockState | null,
  data: { owner_id: string; command: string; since: number; until: number },
  context: RuleContext,
): Result {
  const { owner_id: owner, command, since, until } = data;
  const key = ownerKey(owner);
  const list = listOf(context);
  if (list.some((place) => place.owner === key && place.command === command)) {
    return reject(WAITS, 'it has a place already');
  }
  // A replica that stood still sends it late. Its owner may wait with another command by now.
  if (until <= context.now) return reject(WAITS, 'the wait is over');
  const after = join(list, { owner: key, command, since, until });
  if (lock === null) return denied('not_held', owner, null, 'nobody holds the lock: acquire it');
  if (isTooLong(after)) return denied('queue_full', owner, isHeld(lock) ? lock : null, REASONS.queue_full);
  const { length: waiters } = waitersIn(after);
  const position = positionOf(after, key) + 1;
  return annotate(writeWaitList(after), { owner_id: owner, position, waiters, until: iso(until) });
}

/** Takes the place of a command away. Its time may be over by this clock, and not yet by that of another replica. */
export function leave(
  _lock: LockState | null,
  { owner_id: owner, command }: { owner_id: string; command: string },
  context: RuleContext,
): Result {
  const key = ownerKey(owner);
  const place = readWaitList(context.notes).find((each) => each.owner === key && each.command === command);
  const isThere = place !== undefined && place.status !== 'ended';
  return isThere ? withWaiters(without(listOf(context), key, command), owner) : notWaiting(owner, context);
}

/** Ends the wait of an owner, whatever command it is for. */
export function cancel(
  _lock: LockState | null,
  { owner_id: owner }: { owner_id: string },
  context: RuleContext,
): Result {
  const key = ownerKey(owner);
  const list = listOf(context);
  return positionOf(list, key) === -1 ? notWaiting(owner, context) : withWaiters(end(list, key), owner);
}

function withWaiters(list: WaitList, owner: string): Result {
  return annotate(writeWaitList(list), { owner_id: owner, waiters: waitersIn(list).length });
}

function notWaiting(owner: string, context: RuleContext): Denial {
  const { length: waiters } = waitersIn(listOf(context));
  return denied('not_waiting', owner, null, 'the owner does not wait for the lock', { waiters });
}

export function refresh(
  lock: LockState | null,
  data: { owner_id: string; fencing_token?: number | undefined; ttl_ms: number },
  context: RuleContext,
): Result {
  const held = requireHolder(lock, data);
  return 'code' in held ? held : extend(held, data.owner_id, data.ttl_ms, context);
}

export function release(
  lock: LockState | null,
  data: { owner_id: string; fencing_token?: number | undefined },
  context: RuleContext,
): Result {
  const held = requireHolder(lock, data);
  return 'code' in held ? held : commit(ended(held, context));
}

/** Ends a lease whoever holds it. */
export function breakLease(
  lock: LockState | null,
  { reason, operator_id: operator }: { reason: string; operator_id?: string | undefined },
  context: RuleContext,
): Result {
  if (!isHeld(lock)) return denied('not_held', null, null, 'nobody holds the lock');
  const taken = { cause: 'broken', owner_id: lock.owner_id, reason };
  return commit(ended(lock, context), { data: operator === undefined ? taken : { ...taken, operator_id: operator } });
}

/** Takes back a grant of which its owner could not be told. */
export function withdraw(
  lock: LockState | null,
  data: { owner_id: string; fencing_token: number },
  context: RuleContext,
): Result {
  const held = requireHolder(lock, data);
  if ('code' in held) return held;
  const reason = 'the owner is gone: nobody takes answers at its inbox any more';
  return commit(ended(held, context), { data: { cause: 'gone', owner_id: held.owner_id, reason } });
}

/** The state after a lease has ended: nobody's, and everything else as it was. */
export function expire(lock: LockState): LockState {
  return { ...lock, owner_id: null };
}

function listOf({ notes, now }: RuleContext): WaitList {
  return inTime(readWaitList(notes), now);
}

function leftOf(
  lock: LockState | null,
  { length: waiters }: WaitList,
  now: number,
): { retryAfterMs?: number; waiters: number } {
  return isHeld(lock) ? { retryAfterMs: Math.max(0, Date.parse(lock.expires_at) - now), waiters } : { waiters };
}

function extend(lock: Held, owner: string, ttlMs: number, context: RuleContext): Result {
  const { acquired_at: acquiredAt, fencing_token: token } = lock;
  return lease({ owner, token, acquiredAt, expiresAt: context.now + ttlMs }, listOf(context), context);
}

/** A lease that begins or goes on. Whoever has it waits no more, with this command or another one. */
function lease(
  { owner, token, acquiredAt, expiresAt }: { owner: string; token: number; acquiredAt: string; expiresAt: number },
  list: WaitList,
  { commandId }: RuleContext,
): Result {
  const key = ownerKey(owner);
  const notes = writeWaitList(end(without(list, key, commandKey(commandId)), key));
  const state = { owner_id: owner, fencing_token: token, acquired_at: acquiredAt, expires_at: iso(expiresAt) };
  return commit(state, { expiresAt, notes });
}

function ended(lock: Held, { now }: RuleContext): LockState {
  return { ...lock, owner_id: null, expires_at: iso(now) };
}

function requireHolder(
  lock: LockState | null,
  { owner_id: owner, fencing_token: token }: { owner_id: string; fencing_token?: number | undefined },
): Held | Denial {
  if (!isHeld(lock)) return denied('not_held', owner, null, 'nobody holds the lock');
  if (lock.owner_id !== owner) {
    return denied('not_holder', owner, lock, `${quoted(lock.owner_id)} holds the lock, not ${quoted(owner)}`);
  }
  if (token !== undefined && token !== lock.fencing_token) {
    const reason = `token ${token} is not that of the present lease, ${lock.fencing_token}`;
    return denied('not_holder', owner, lock, reason);
  }
  return lock;
}

function others(waiting: WaitList): string {
  if (waiting.length === 0) return '';
  return waiting.length === 1 ? ', and another owner waits for it' : `, and ${waiting.length} owners wait for it`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
