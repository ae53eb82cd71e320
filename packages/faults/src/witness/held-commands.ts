import { setTimeout as sleep } from 'node:timers/promises';
import { heldStream } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Breach } from '../history.ts';
import { persist } from '../persist.ts';

const pollMs = 250;
const askWithinMs = 60_000;
/** The longest wait of a client that left, and what its agent may take to see to it. */
const overWithinMs = 10_000;

/**
 * Once nobody waits any more, nothing is held: each command whose answer was held back was seen to, long before the server
 * would forget it by itself.
 */
export async function whatIsStillHeld(manager: JetStreamManager, agent: string): Promise<Breach[]> {
  const stream = heldStream(agent);
  const deadline = performance.now() + overWithinMs;
  for (;;) {
    const ask = (): ReturnType<typeof manager.streams.info> => manager.streams.info(stream, { subjects_filter: '>' });
    const { state } = await persist(`a look at ${stream}`, ask, askWithinMs);
    if (state.messages === 0) return [];
    if (performance.now() > deadline) {
      const subjects = Object.keys(state.subjects ?? {}).join(', ');
      const what = `${stream} has ${state.messages} messages ${overWithinMs / 1000} s after the last wait: ${subjects}`;
      return [{ invariant: 'nothing stays held', what, history: [] }];
    }
    await sleep(pollMs);
  }
}
