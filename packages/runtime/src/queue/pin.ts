import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { consumerState } from '../nats/stored-messages.ts';

/** So long the server waits for a replica that it has not heard of, in milliseconds. The consumer must say the same. */
export const PIN_MS = 1_000;
/** The one group of the consumer. */
export const PIN_GROUP = 'executor';

/**
 * Whether nobody else was served since a pin was given; undefined: the server does not answer. It pins whom it delivers to.
 * @param lastDelivery the last one under that pin
 */
export async function isAlone(
  { consumer, requester, stream }: { requester: RequestPort; stream: string; consumer: string },
  pin: string,
  lastDelivery: number,
): Promise<boolean | undefined> {
  try {
    const { deliveries, pinned } = await consumerState(requester, stream, consumer);
    return pinned === pin || deliveries === lastDelivery;
  } catch (error) {
    if (error instanceof NoAnswerError) return undefined;
    throw error;
  }
}
