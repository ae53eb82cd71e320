import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

/** All that MeshForge knows of time on this machine, injected whole so that tests can turn every hand of it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  wall(): number;
  /** Milliseconds since some moment; never jumps. */
  monotonic(): number;
  /** Resolves after so many milliseconds, or when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** 0 ≤ x < 1, for jitter. */
  random(): number;
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {}),
  random: () => Math.random(),
};

/** What some work comes to; undefined when it takes longer than so many milliseconds. It goes on, and no timer stays behind. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  const patience = new AbortController();
  try {
    return await Promise.race([work, clock.sleep(ms, patience.signal).then(() => undefined)]);
  } finally {
    patience.abort();
  }
}
