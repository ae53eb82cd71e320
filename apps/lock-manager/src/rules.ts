/**
 * The rules of leases: pure functions of a lock, a command's data and the time.
 *
 * A lease ends when the log says so, that is when its expiry is committed, and not when some clock passes `expires_at`: so no
 * two grants of one lock are ever unexpired in the log (I7). A free lock goes to whoever waits first, and to nobody who comes
 * later.
 *
 * A lease in its last 250 ms cannot be refreshed, for its expiry may be on its way; the runtime lets everything else wait
 * until the log says that it has ended.
 */
import { LOCK_LIMITS, type LockState } from '@meshforge/protocol';
import { annotate, commit, type RuleContext, type RuleResult } from '@meshforge/runtime';
import { denied, isHeld, quoted, type Held } from './denied.ts';
import {
  dequeue,
  enqueue,
  isFull,
  keyOf,
  positionOf,
  readQueue,
  waitsForLater,
  writeQueue,
  type Place,
  type Queue,
} from './waiting/queue.ts';

type Result = RuleResult<LockState>;
type Denial = ReturnType<typeof denied>;

export function acquire(
  lock: LockState | null,
  data: { owner_id: string; ttl_ms: number; take_up_ms?: number | undefined },
  context: RuleContext,
): Result {
  const { owner_id: owner, ttl_ms: ttlMs, take_up_ms: takeUpMs = ttlMs } = data;
  const { now, nextVersion } = context;
  const waiting = readQueue(context.notes, now);
  if (isHeld(lock)) {
    if (lock.owner_id === owner) return extend(lock, owner, ttlMs, context);
    return heldBy(lock, owner, waiting, now);
  }
  const first = waiting[0];
  if (first !== undefined && first.key !== keyOf(owner)) {
    return denied('held', owner, null, `nobody holds the lock${others(waiting)}`, { waiters: waiting.length });
  }
  const hasWaited = first !== undefined;
  const rest = hasWaited ? dequeue(waiting, owner) : waiting;
  return lease(owner, nextVersion, iso(now), now + (hasWaited ? Math.min(takeUpMs, ttlMs) : ttlMs), rest);
}

/**
 * What a waiter's own command does when its turn has come. Whoever has left the queue by then, or was cancelled, or has asked
 * anew, is not waiting and gets nothing by it: so what such a command is answered stays true.
 */
export function grant(
  lock: LockState | null,
  data: { owner_id: string; ttl_ms: number; take_up_ms?: number | undefined; until: number },
  context: RuleContext,
): Result {
  const { owner_id: owner, until } = data;
  const queue = readQueue(context.notes, context.now);
  const key = keyOf(owner);
  if (queue.some((place) => place.key === key && place.until === until)) return acquire(lock, data, context);
  const reason = isHeld(lock) ? `${quoted(lock.owner_id)} holds the lock` : 'the wait is over';
  return denied('not_waiting', owner, isHeld(lock) ? lock : null, reason, leftOf(lock, queue, context.now));
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

/**
 * An owner begins to wait, or waits until another time; the lease that stands goes on. Also for a lock that has just come free, or
 * is the owner's own: only from the queue is it granted to one who waits, so only from there can it be kept from them.
 */
export function enqueueOwner(
  lock: LockState | null,
  { owner_id: owner, since, until }: { owner_id: string; since: number; until: number },
  { notes, now }: RuleContext,
): Result {
  const before = readQueue(notes, now);
  if (lock === null) return denied('not_held', owner, null, 'nobody holds the lock: acquire it');
  if (isFull(before) && positionOf(before, owner) === 0) {
    const reason = `${before.length} owners wait for the lock, as many as may: try again later`;
    return denied('queue_full', owner, isHeld(lock) ? lock : null, reason, { waiters: before.length });
  }
  if (waitsForLater(before, owner, { since, until })) {
    const reason = 'the same owner has asked anew';
    return denied('cancelled', owner, isHeld(lock) ? lock : null, reason, { waiters: before.length });
  }
  const after = enqueue(before, owner, { since, until });
  const position = positionOf(after, owner);
  const data = { owner_id: owner, position, waiters: after.length, until: iso(until) };
  return annotate(writeQueue(after), data);
}

/** A place in the queue is taken away; the lease that stands goes on. */
export function leave(
  lock: LockState | null,
  { key, owner_id: owner, until }: { key: string; owner_id?: string | undefined; until?: number | undefined },
  { notes, now }: RuleContext,
): Result {
  const isMeant = (other: Place): boolean => other.key === key && (until === undefined || other.until === until);
  // A wait that is over ends by itself, but a clock elsewhere may not have come so far.
  const place = readQueue(notes, 0).find(isMeant);
  if (lock === null || place === undefined) {
    const waiters = readQueue(notes, now).length;
    return denied('not_waiting', owner ?? null, null, 'the owner does not wait for the lock', { waiters });
  }
  const after = readQueue(notes, now).filter((other) => !isMeant(other));
  const who = owner === undefined ? { until: iso(place.until) } : { owner_id: owner };
  const data = { ...who, waiters: after.length };
  return annotate(writeQueue(after), data);
}

export function cancel(lock: LockState | null, data: { owner_id: string }, context: RuleContext): Result {
  return leave(lock, { ...data, key: keyOf(data.owner_id) }, context);
}

/** The state after a lease has ended: nobody's, and everything else as it was. */
export function expire(lock: LockState): LockState {
  return { ...lock, owner_id: null };
}

function heldBy(lock: Held, owner: string, queue: Queue, now: number): Denial {
  const reason = `${quoted(lock.owner_id)} holds the lock until ${lock.expires_at}${others(queue)}`;
  return denied('held', owner, lock, reason, leftOf(lock, queue, now));
}

function leftOf(
  lock: LockState | null,
  { length: waiters }: Queue,
  now: number,
): { retryAfterMs?: number; waiters: number } {
  return isHeld(lock) ? { retryAfterMs: Math.max(0, Date.parse(lock.expires_at) - now), waiters } : { waiters };
}

function extend(lock: Held, owner: string, ttlMs: number, { notes, now }: RuleContext): Result {
  const left = Date.parse(lock.expires_at) - now;
  if (left <= LOCK_LIMITS.guardMs) {
    const reason = `the lease ends at ${lock.expires_at}, too soon to refresh it: acquire the lock anew after that`;
    return denied('too_late', owner, lock, reason, { retryAfterMs: Math.max(0, left) });
  }
  return lease(owner, lock.fencing_token, lock.acquired_at, now + ttlMs, dequeue(readQueue(notes, now), owner));
}

function lease(owner: string, token: number, acquiredAt: string, expiresAt: number, waiting: Queue): Result {
  const state = { owner_id: owner, fencing_token: token, acquired_at: acquiredAt, expires_at: iso(expiresAt) };
  return commit(state, { expiresAt, notes: writeQueue(waiting) });
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

function others(waiting: Queue): string {
  if (waiting.length === 0) return '';
  return waiting.length === 1 ? ', and another owner waits for it' : `, and ${waiting.length} owners wait for it`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
