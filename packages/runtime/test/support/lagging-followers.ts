import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsServer } from '@meshforge/nats-server';

const FROZEN_MS = 30;
const AWAKE_MS = 10;

/**
 * Freezes the given nodes in turn, a few milliseconds each, until it is stopped: whoever asks one of them gets an answer
 * from a past that the leader and the majority have left behind.
 */
export function makeLag(followers: readonly NatsServer[]): { stop(): Promise<void> } {
  const end = new AbortController();
  const lagging = (async () => {
    for (let turn = 0; !end.signal.aborted; turn++) {
      const follower = followers.at(turn % followers.length);
      await follower?.kill('SIGSTOP');
      await sleep(FROZEN_MS);
      await follower?.kill('SIGCONT');
      await sleep(AWAKE_MS);
    }
  })();
  return {
    stop: async () => {
      end.abort();
      await lagging;
    },
  };
}
