import type { Clock } from '../clock.ts';

/** Longest pause before asking a server again that did not answer, in milliseconds. */
export const MAX_PAUSE_MS = 1_000;

/** Full jitter: anything up to a bound that doubles with each try, up to `maxMs`. */
export function pause(clock: Clock, tries: number, maxMs: number): number {
  return clock.random() * Math.min(maxMs, 2 ** Math.min(tries, 10));
}
