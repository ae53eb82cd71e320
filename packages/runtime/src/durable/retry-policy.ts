import type { Clock } from '../clock.ts';

/** How often, and how long, what failed for a fault is tried again. */
export interface RetryPolicy {
  /** Tries in one process, the first included, but those that only met an outage. Default 15. */
  maxTries: number;
  /** From when it was stored, in milliseconds; also through an outage. Default one day. At least three tries are made. */
  maxAgeMs: number;
  /** Longest first pause, in milliseconds; doubles with each try. Default 250. */
  firstPauseMs: number;
  /** Longest pause, in milliseconds. Default 30,000. */
  maxPauseMs: number;
}

/** A defect is given up after about two and a half minutes. */
export const DEFAULT_RETRY: RetryPolicy = {
  maxTries: 15,
  maxAgeMs: 86_400_000,
  firstPauseMs: 250,
  maxPauseMs: 30_000,
};

const MIN_TRIES = 3;

/**
 * The pause before the next try, in milliseconds: between half and all of a bound that doubles. Undefined: no more tries.
 * @param tries made so far @param counted those of them that count @param ageMs since it was stored
 */
export function nextPause(
  policy: RetryPolicy,
  clock: Clock,
  { ageMs, counted, tries }: { ageMs: number; counted: number; tries: number },
): number | undefined {
  const { firstPauseMs, maxAgeMs, maxPauseMs, maxTries } = policy;
  if (counted >= maxTries || (tries >= MIN_TRIES && ageMs >= maxAgeMs)) return undefined;
  const bound = Math.min(maxPauseMs, firstPauseMs * 2 ** (tries - 1));
  return bound * (0.5 + 0.5 * clock.random());
}
