import type { ConnectionOptions } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';

const WAIT_MS = 250;
const JITTER_MS = 100;

/**
 * When a server is dialled again: not before so long after the last try, by the clock that never jumps. Left to itself the client
 * goes by the wall clock: when that is set back while there is no connection, it does not dial until the clock has caught up.
 */
export function redialing(clock: Clock): Pick<ConnectionOptions, 'reconnectDelayHandler' | 'reconnectToServer'> {
  const dialled = new Map<string, number>();
  return {
    // At once, whatever the wall clock says; the pause comes below.
    reconnectDelayHandler: () => Number.NEGATIVE_INFINITY,
    reconnectToServer: ([next]) => {
      if (next === undefined) return null;
      const now = clock.monotonic();
      const last = dialled.get(next.listen) ?? Number.NEGATIVE_INFINITY;
      const delay = Math.max(0, last + WAIT_MS + JITTER_MS * clock.random() - now);
      dialled.set(next.listen, now + delay);
      return { server: next, delay };
    },
  };
}
