import { setTimeout as sleep } from 'node:timers/promises';
import { acquire, lease, type Connection } from './locks.ts';

const EVERY_MS = 50;
/** Between a lock that falls free and the next who holds it stand so many answers, one after the other. */
const ANSWERS = 4;

/** Takes the pulse of the machine: how long a lease of nobody's interest takes to be granted anew. */
export interface Pulse {
  /**
   * `ms`, and as much more as the answers of a handover take at the slowest that was seen since the last call: a bound on
   * the lock manager, and not on how busy the machine is.
   */
  beyond(ms: number): number;
  stop(): Promise<void>;
}

export function takePulse(nats: Connection): Pulse {
  let slowestMs = 0;
  const over = new AbortController();
  const beat = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const before = performance.now();
      lease(await acquire(nats, 'pulse', 'pulse', { ttl: 60_000 }));
      slowestMs = Math.max(slowestMs, performance.now() - before);
      await sleep(EVERY_MS);
    }
  };
  const beating = beat();
  return {
    beyond: (ms) => {
      const bound = ms + ANSWERS * slowestMs;
      slowestMs = 0;
      return bound;
    },
    stop: async () => {
      over.abort();
      await beating;
    },
  };
}
