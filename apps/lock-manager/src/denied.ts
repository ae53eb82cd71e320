/** How a command on a lock is refused. */
import { LIMITS, printable, type LockDenial, type LockState } from '@meshforge/protocol';
import { reject } from '@meshforge/runtime';

export type Held = LockState & { owner_id: string };

export function isHeld(lock: LockState | null): lock is Held {
  return lock !== null && lock.owner_id !== null;
}

/** @param owner of the command; null for one that names none. @param lock the lease that stands in its way */
export function denied(
  code: LockDenial,
  owner: string | null,
  lock: Held | null,
  reason: string,
  { retryAfterMs, waiters = 0 }: { retryAfterMs?: number; waiters?: number } = {},
): ReturnType<typeof reject> {
  return reject(code, reason, {
    owner_id: owner,
    current_owner_id: lock?.owner_id ?? null,
    expires_at: lock?.expires_at ?? null,
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    ...(waiters === 0 ? {} : { waiters }),
  });
}

/** An owner in a sentence; `current_owner_id` has it in full. */
export function quoted(owner: string): string {
  return `"${printable(owner, LIMITS.keyCharacters)}"`;
}
