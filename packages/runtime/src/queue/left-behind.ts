import type { Clock } from '../clock.ts';
import type { RequestPort } from '../nats/requester.ts';
import type { StoredMessage } from '../nats/stored-message.ts';
import { consumerState, messagesIn } from '../nats/stored-messages.ts';
import { PIN_MS } from './pin.ts';
import type { Tenure } from './tenure.ts';

/** Deliveries on their way, in milliseconds. */
const ARRIVAL_MS = 50;

export interface LeftBehindOptions {
  requester: RequestPort;
  clock: Clock;
  stream: string;
  consumer: string;
  /** What the consumer delivers. */
  filter: string;
  isWorkQueue: boolean;
  /** What nobody but this replica has had in its hands, or what it has seen to. */
  isKnown: (sequence: number) => boolean;
}

/**
 * What a former replica had in its hands, oldest first: delivered, not done, and maybe delivered to this one as well by now.
 * @returns when that one can no longer believe that it may work @throws NoAnswerError
 */
export async function leftBehind(options: LeftBehindOptions, tenure: Tenure): Promise<StoredMessage[]> {
  const { clock, consumer, isKnown, isWorkQueue, requester, stream } = options;
  const { delivered, floor } = await consumerState(requester, stream, consumer);
  // Of a work queue nothing is left that is acknowledged.
  const range = [isWorkQueue ? 1 : floor + 1, delivered] as const;
  const missing = (): Promise<StoredMessage[]> => all(messagesIn(range, { ...options, over: tenure.over }));
  const first = await missing();
  if (first.length === 0) return [];
  await clock.sleep(ARRIVAL_MS, tenure.over);
  if (first.every(({ sequence }) => isKnown(sequence))) return [];
  await clock.sleep(PIN_MS, tenure.over);
  return await missing();
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
