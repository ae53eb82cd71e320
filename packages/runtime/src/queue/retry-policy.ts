import type { Clock } from '../clock.ts';

/** How often, and how long, what failed for a fault is tried again. */
export interface RetryPolicy {
  /** Tries in one process, the first included. Default 15. */
  maxTries: number;
  /** From when it was stored, in milliseconds. Default one hour. At least three tries are made, however old it is. */
  maxAgeMs: number;
  /** Longest first pause, in milliseconds; doubles with each try. Default 250. */
  firstPauseMs: number;
  /** Longest pause, in milliseconds. Default 30,000. */
  maxPauseMs: number;
}

/** With pauses as they come on average, for about two and a half minutes. */
export const DEFAULT_RETRY: RetryPolicy = {
  maxTries: 15,
  maxAgeMs: 3_600_000,
  firstPauseMs: 250,
  maxPauseMs: 30_000,
};

const MIN_TRIES = 3;

/**
 * The pause before the next try, in milliseconds: between half and all of a bound that doubles. Undefined: no more tries.
 * @param tries made so far @param ageMs since it was stored
 */
export function nextPause(policy: RetryPolicy, clock: Clock, tries: number, ageMs: number): number | undefined {
  const { firstPauseMs, maxAgeMs, maxPauseMs, maxTries } = policy;
  if (tries >= maxTries || (tries >= Math.min(MIN_TRIES, maxTries) && ageMs >= maxAgeMs)) return undefined;
  const bound = Math.min(maxPauseMs, firstPauseMs * 2 ** (tries - 1));
  return bound * (0.5 + 0.5 * clock.random());
}
