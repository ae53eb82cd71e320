/**
 * The rules of leases: pure functions of a lock, a command's data and the time.
 *
 * A lease ends when the log says so, that is when the NATS server has committed its expiry, and not when some clock
 * passes `expires_at`: so no two grants of one lock are ever unexpired in the log (I7).
 *
 * A lease in its last 250 ms cannot be refreshed, for its expiry may be on its way; the runtime lets everything else wait
 * until the log says that it has ended. After an outage the server ends what is overdue within seconds; only a lease that
 * is overdue by 10 minutes, whose expiry it must have lost, may be taken over.
 */
import { LIMITS, LOCK_LIMITS, printable, type LockDenial, type LockState } from '@meshforge/protocol';
import { commit, reject, type RuleContext, type RuleResult } from '@meshforge/runtime';

type Result = RuleResult<LockState>;
type Held = LockState & { owner_id: string };

const OVERDUE_MS = 600_000;

export function acquire(
  lock: LockState | null,
  { owner_id: owner, ttl_ms: ttlMs }: { owner_id: string; ttl_ms: number },
  context: RuleContext,
): Result {
  if (!isHeld(lock) || isOverdue(lock, context.now)) {
    return lease(owner, context.nextVersion, iso(context.now), context.now + ttlMs);
  }
  if (lock.owner_id === owner) return extend(lock, owner, ttlMs, context);
  const left = Math.max(0, Date.parse(lock.expires_at) - context.now);
  return denied('held', owner, lock, `${quoted(lock.owner_id)} holds the lock until ${lock.expires_at}`, left);
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
  return 'code' in held ? held : commit({ ...held, owner_id: null, expires_at: iso(context.now) });
}

/** The state after a lease has ended: nobody's, and everything else as it was. */
export function expire(lock: LockState): LockState {
  return { ...lock, owner_id: null };
}

function extend(lock: Held, owner: string, ttlMs: number, { now }: RuleContext): Result {
  const left = Date.parse(lock.expires_at) - now;
  if (left <= LOCK_LIMITS.guardMs) {
    const reason = `the lease ends at ${lock.expires_at}, too soon to refresh it: acquire the lock anew after that`;
    return denied('too_late', owner, lock, reason, Math.max(0, left));
  }
  return lease(owner, lock.fencing_token, lock.acquired_at, now + ttlMs);
}

function lease(owner: string, token: number, acquiredAt: string, expiresAt: number): Result {
  const state = { owner_id: owner, fencing_token: token, acquired_at: acquiredAt, expires_at: iso(expiresAt) };
  return commit(state, { expiresAt });
}

function requireHolder(
  lock: LockState | null,
  { owner_id: owner, fencing_token: token }: { owner_id: string; fencing_token?: number | undefined },
): Held | ReturnType<typeof reject> {
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

function denied(
  code: LockDenial,
  owner: string,
  lock: Held | null,
  reason: string,
  retryAfterMs?: number,
): ReturnType<typeof reject> {
  return reject(code, reason, {
    owner_id: owner,
    current_owner_id: lock?.owner_id ?? null,
    expires_at: lock?.expires_at ?? null,
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  });
}

function isHeld(lock: LockState | null): lock is Held {
  return lock !== null && lock.owner_id !== null;
}

function isOverdue(lock: Held, now: number): boolean {
  return now - Date.parse(lock.expires_at) > OVERDUE_MS;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** An owner in a sentence; `current_owner_id` has it in full. */
function quoted(owner: string): string {
  return `"${printable(owner, LIMITS.keyCharacters)}"`;
}
