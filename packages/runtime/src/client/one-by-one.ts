import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import type { Clock } from '../clock.ts';

/**
 * The messages of a consumer, each when its turn comes. Those that the server sent ahead are kept alive while they wait,
 * so that the time for which the server waits for an acknowledgement counts from a message's turn.
 *
 * @param ackWaitMs how long the server waits, in milliseconds
 */
export async function* oneByOne(messages: ConsumerMessages, clock: Clock, ackWaitMs: number): AsyncGenerator<JsMsg> {
  const waiting: JsMsg[] = [];
  let wake = (): void => {};
  let ended = false;
  const arriving = (async () => {
    for await (const message of messages) {
      waiting.push(message);
      wake();
    }
  })().finally(() => {
    ended = true;
    wake();
  });
  // Awaited below; until then a failure is nobody's.
  arriving.catch(() => {});
  const over = new AbortController();
  void (async () => {
    for (;;) {
      await clock.sleep(ackWaitMs / 4, over.signal);
      if (over.signal.aborted) return;
      for (const message of waiting) message.working();
    }
  })();
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) {
        next.working();
        yield next;
      } else if (ended) {
        await arriving;
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    over.abort();
  }
}
