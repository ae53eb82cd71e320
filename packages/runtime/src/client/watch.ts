import { eventWildcard } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import { liveEvent } from './event-of.ts';
import type { MeshEvent } from './types.ts';

/** Live events; end it with `break` or `stop()`. */
export interface Watch<State> extends AsyncIterable<MeshEvent<State>> {
  stop(): void;
}

/**
 * Live events of an agent: at most once, none of the time before. A repeat (the server may send one when a stream's
 * leader changes) is dropped; a gap shows in `sequence` and `entityVersion`. After a restore of the stream the sequences
 * are used again, and what has them is no repeat: it is younger by the server's time.
 *
 * @param events names to let through; undefined = all, signals included
 */
export function watchEvents<State>(
  connection: NatsConnection,
  agent: string,
  events: readonly string[] | undefined,
): Watch<State> {
  const subscription = connection.subscribe(eventWildcard(agent));
  return {
    stop: () => subscription.unsubscribe(),
    async *[Symbol.asyncIterator]() {
      let last = { sequence: 0, time: 0 };
      try {
        for await (const message of subscription) {
          const event = liveEvent<State>(message);
          if (event === undefined || events?.includes(event.event) === false) continue;
          if (event.kind === 'change') {
            const { sequence } = event;
            const time = Date.parse(event.time);
            if (sequence <= last.sequence && time <= last.time) continue;
            last = { sequence, time };
          }
          yield event;
        }
      } finally {
        subscription.unsubscribe();
      }
    },
  };
}
