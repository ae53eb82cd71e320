/**
 * How long a lease is surely held, as its holder can know it. Pure: time comes in as numbers of a monotonic clock.
 *
 * 1. A request that was sent at t and granted or extended a lease by d holds it until t + d at least: it cannot have been
 *    granted before it was sent. No clock but the holder's own is asked, and no two clocks are compared.
 * 2. Only what was acknowledged counts, and only if the answer came before the end: what has ended stays ended.
 * 3. A lease is over at its end whether or not a timer has said so.
 *
 * Idea: Gray and Cheriton, "Leases" (1989), where the holder counts the term from before the server does.
 */
import type { LeaseLoss } from './types.ts';

/**
 * Timers come late. So long before its end, in milliseconds, a lease counts as over, so that its loss is told by then.
 */
const TIMER_MARGIN_MS = 10;

/** Part of a term after which it is refreshed: two more refreshes can fail. */
const REFRESH_AFTER = 1 / 3;

/** An acknowledged request, on the monotonic clock, in milliseconds. */
export interface Term {
  /** Before the first try was sent. */
  readonly sentAt: number;
  /** How long the lease was asked for. */
  readonly durationMs: number;
}

export type LeaseState =
  | { readonly kind: 'held'; readonly endsAt: number; readonly refreshAt: number }
  | { readonly kind: 'lost'; readonly loss: LeaseLoss };

/** What came of a request to refresh; `unanswered` includes all that says nothing definite. */
export type RefreshAnswer =
  | ({ readonly kind: 'extended' } & Term)
  | { readonly kind: 'ended'; readonly loss: LeaseLoss }
  | { readonly kind: 'unanswered' };

export function granted({ sentAt, durationMs }: Term): LeaseState & { kind: 'held' } {
  return {
    kind: 'held',
    endsAt: sentAt + durationMs - TIMER_MARGIN_MS,
    refreshAt: sentAt + durationMs * REFRESH_AFTER,
  };
}

/** @param timeOver why the lease is lost if its time is over: only the caller knows whether it was cut off */
export function afterTime(state: LeaseState, now: number, timeOver: LeaseLoss): LeaseState {
  return state.kind === 'held' && now >= state.endsAt ? { kind: 'lost', loss: timeOver } : state;
}

/** @param now when the answer is looked at, not when it arrived */
export function afterRefresh(state: LeaseState, answer: RefreshAnswer, now: number, timeOver: LeaseLoss): LeaseState {
  const current = afterTime(state, now, timeOver);
  if (current.kind === 'lost' || answer.kind === 'unanswered') return current;
  if (answer.kind === 'ended') return { kind: 'lost', loss: answer.loss };
  // Answers may overtake each other; what was promised longer stays promised, as no refresh asks for less than the grant.
  const extended = granted(answer);
  return extended.endsAt > current.endsAt ? extended : current;
}

/** How much is surely left, in milliseconds. */
export function remainingMs(state: LeaseState, now: number): number {
  return state.kind === 'held' ? Math.max(0, state.endsAt - now) : 0;
}
