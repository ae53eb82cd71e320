/** What callers see of locks. */

/**
 * Why a lease is lost:
 * - `expired`: its time is over, by the client's monotonic clock or by the log: no refresh came through, or the event
 *   loop stood still;
 * - `disconnected`: the same, while there was no connection to NATS, or the client was closed;
 * - `broken`: an operator broke it;
 * - `taken`: somebody else ended it or holds the lock;
 * - `refused`: the lock manager refused a refresh for another reason, such as `not_held`;
 * - `released`: by its holder.
 */
export type LeaseLossCause = 'expired' | 'disconnected' | 'broken' | 'taken' | 'refused' | 'released';

export interface LeaseLoss {
  readonly cause: LeaseLossCause;
  readonly reason: string;
  /** Further details for the error. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface LockOptions {
  /** How long the lease lasts without a refresh, in milliseconds: 500 to 86,400,000; default 30,000. */
  ttlMs?: number;
  /** How long to wait for locks that others hold, for all of them together, in milliseconds: 0 to 600,000; default 0. */
  waitMs?: number;
  /**
   * Who holds the lock, 1 to 256 characters; default a new id for each call. Callers with the same id are one owner to
   * the lock manager: they do not exclude each other, the latest `ttlMs` counts for all, and so does the first release.
   */
  ownerId?: string;
  /** Ends the waiting. It says nothing to a lease that is held: that has a signal of its own. */
  signal?: AbortSignal;
}

/** A lock with its fencing token. */
export interface HeldLock {
  readonly resource: string;
  /**
   * Grows with every grant of this lock, also after its log was purged. Hand it to whatever is written to, and let that refuse a smaller one than it has
   * seen: only this keeps out a holder that does not know yet that it is none. Idea: Martin Kleppmann, "How to do
   * distributed locking" (2016).
   */
  readonly fencingToken: number;
}

/**
 * One or more locks, held until `release()` and refreshed in the background at a third of their time.
 *
 * How long it is held is counted by the monotonic clock from the moment when each request was sent, so it never seems
 * longer than it is. What no client can rule out: that it is stopped after a look at the lease, and before what it does
 * next. Hence `throwIfLost()` before each step that matters, and the fencing token in each write.
 */
export interface Lease extends HeldLock {
  /** Of the first, or only, resource. */
  readonly resource: string;
  /** Of the first, or only, resource. */
  readonly fencingToken: number;
  /** All locks, in the order in which the caller named them. */
  readonly leases: readonly HeldLock[];
  readonly ownerId: string;
  /**
   * Aborts the moment the lease is lost or can no longer be known to be held, and when it is released. Its reason is a
   * MeshError `lease_lost` whose `details.cause` is a {@link LeaseLossCause}. Listeners run when the event loop does:
   * after a long synchronous step, read `lease.signal.aborted` or call `throwIfLost()`, which look at the clock.
   */
  readonly signal: AbortSignal;
  /** @throws MeshError `invalid_options` for a resource that is none of this lease's */
  fencingTokenOf(resource: string): number;
  /** How long all locks are surely held, in milliseconds, as of now; 0 when the lease is lost or released. */
  remainingMs(): number;
  /** @throws MeshError `lease_lost` when the lease is lost or released, as of now */
  throwIfLost(): void;
  /**
   * Gives all locks back, and aborts the signal. Resolves when the lock manager has answered, or after 2 s without an
   * answer: then the locks come free when their time is over. Never rejects; a second call does nothing more.
   */
  release(): Promise<void>;
  /** The same, for `await using`. Where the language has none yet: `try { … } finally { await lease.release(); }`. */
  [Symbol.asyncDispose](): Promise<void>;
}
