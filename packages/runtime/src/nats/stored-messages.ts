/** What JetStream's API says and does about the messages of a stream, asked of its leader. */
import { apiResponse, MESSAGE_NOT_FOUND, NoAnswerError, SEQUENCE_NOT_FOUND } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { fromMessageGet, type ApiMessage, type StoredMessage } from './stored-message.ts';
import { utf8 } from './utf8.ts';

/** The next message at or after a sequence. @throws NoAnswerError */
export async function nextMessage(
  requester: RequestPort,
  stream: string,
  filter: string,
  sequence: number,
): Promise<StoredMessage | undefined> {
  return await getMessage(requester, stream, { seq: sequence, next_by_subj: filter });
}

/** The newest message that a filter lets through. @throws NoAnswerError */
export async function lastMessage(
  requester: RequestPort,
  stream: string,
  filter: string,
): Promise<StoredMessage | undefined> {
  return await getMessage(requester, stream, { last_by_subj: filter });
}

/** The messages in a range, ends included, oldest first, but those that are known. @throws NoAnswerError */
export async function* messagesIn(
  [first, last]: readonly [number, number],
  options: {
    requester: RequestPort;
    stream: string;
    filter: string;
    isKnown: (sequence: number) => boolean;
    /** Ends it when it aborts. */
    over: AbortSignal;
  },
): AsyncGenerator<StoredMessage> {
  const { filter, isKnown, over, requester, stream } = options;
  for (let next = first; !over.aborted; next++) {
    while (next <= last && isKnown(next)) next++;
    if (next > last) return;
    const stored = await nextMessage(requester, stream, filter, next);
    if (stored === undefined || stored.sequence > last) return;
    next = stored.sequence;
    if (!isKnown(next)) yield stored;
  }
}

async function getMessage(requester: RequestPort, stream: string, which: object): Promise<StoredMessage | undefined> {
  const request = utf8(JSON.stringify(which));
  const { message } = await ask<{ message: ApiMessage }>(requester, `STREAM.MSG.GET.${stream}`, stream, request);
  if (message === undefined) return undefined;
  try {
    return fromMessageGet(message);
  } catch {
    // Headers that the client refuses to read are as good as none; the message must not hide those behind it.
    return fromMessageGet({ ...message, hdrs: '' });
  }
}

/** Takes a message out of a stream; one that is gone already is none to take. @throws NoAnswerError */
export async function deleteMessage(requester: RequestPort, stream: string, sequence: number): Promise<boolean> {
  const request = utf8(JSON.stringify({ seq: sequence, no_erase: true }));
  const { success } = await ask<{ success: boolean }>(requester, `STREAM.MSG.DELETE.${stream}`, stream, request);
  return success === true;
}

/** How far a consumer has come. */
export interface ConsumerState {
  /** Sequence of the last message that was delivered. */
  delivered: number;
  /** How many deliveries there were. */
  deliveries: number;
  /** All up to this one are acknowledged. */
  floor: number;
  /** The id of whom it delivers to alone; undefined: nobody. */
  pinned: string | undefined;
}

/** @throws NoAnswerError */
export async function consumerState(requester: RequestPort, stream: string, consumer: string): Promise<ConsumerState> {
  const found = await ask<{
    ack_floor: { stream_seq: number };
    delivered: { consumer_seq: number; stream_seq: number };
    priority_groups: { pinned_client_id?: string }[];
  }>(requester, `CONSUMER.INFO.${stream}.${consumer}`, stream);
  const { ack_floor: floor, delivered, priority_groups: groups } = found;
  if (delivered === undefined || floor === undefined) {
    throw new NoAnswerError(stream, `the consumer ${consumer} is not there`);
  }
  const pinned = groups?.find(({ pinned_client_id: id }) => id !== undefined)?.pinned_client_id;
  return { delivered: delivered.stream_seq, deliveries: delivered.consumer_seq, floor: floor.stream_seq, pinned };
}

async function ask<T extends object>(
  requester: RequestPort,
  api: string,
  stream: string,
  request: Uint8Array = new Uint8Array(),
): Promise<Partial<T>> {
  const answer = await requester.request(`$JS.API.${api}`, request);
  if (answer.kind !== 'answer') throw new NoAnswerError(stream, answer.why);
  const response = apiResponse<T>(answer.message);
  if (response === undefined) throw new NoAnswerError(stream, 'the answer is none of JetStream');
  const { error } = response;
  if (error === undefined) return response;
  if (error.err_code === MESSAGE_NOT_FOUND || error.err_code === SEQUENCE_NOT_FOUND) return {};
  throw new NoAnswerError(stream, error.description);
}
