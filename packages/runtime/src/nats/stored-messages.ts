/** What JetStream's API says and does about the messages of a stream, asked of its leader. */
import { apiResponse, isAbsent, NoAnswerError } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { fromMessageGet, type ApiMessage, type StoredMessage } from './stored-message.ts';
import { utf8 } from './utf8.ts';

/** A stored message; without headers where its sender wrote some that no header can be. */
export type FoundMessage = StoredMessage & { hasUnreadableHeaders?: true };

/** The next message at or after a sequence. @throws NoAnswerError */
export async function nextMessage(
  requester: RequestPort,
  stream: string,
  filter: string,
  sequence: number,
): Promise<FoundMessage | undefined> {
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

async function getMessage(requester: RequestPort, stream: string, which: object): Promise<FoundMessage | undefined> {
  const request = utf8(JSON.stringify(which));
  const { message } = await ask<{ message: ApiMessage }>(requester, `STREAM.MSG.GET.${stream}`, stream, request);
  if (message === undefined) return undefined;
  try {
    return fromMessageGet(message);
  } catch {
    // The message must not hide those behind it.
    return { ...fromMessageGet({ ...message, hdrs: '' }), hasUnreadableHeaders: true };
  }
}

/** Takes a message out of a stream; one that is gone already is none to take. @throws NoAnswerError */
export async function deleteMessage(requester: RequestPort, stream: string, sequence: number): Promise<boolean> {
  const request = utf8(JSON.stringify({ seq: sequence, no_erase: true }));
  const { success } = await ask<{ success: boolean }>(requester, `STREAM.MSG.DELETE.${stream}`, stream, request);
  return success === true;
}

/** How far a consumer has come, and what it delivers. */
export interface ConsumerState {
  /** Sequence of the last message that was delivered. */
  delivered: number;
  /** Messages that were delivered and not acknowledged. */
  unacknowledged: number;
  filters: string[];
}

/** Undefined: there is no such consumer. @throws NoAnswerError */
export async function consumerState(
  requester: RequestPort,
  stream: string,
  consumer: string,
  api = '$JS.API',
): Promise<ConsumerState | undefined> {
  const {
    config,
    delivered,
    num_ack_pending: unacknowledged,
  } = await ask<{
    config: { filter_subject?: string; filter_subjects?: string[] };
    delivered: { stream_seq: number };
    num_ack_pending: number;
  }>(requester, `CONSUMER.INFO.${stream}.${consumer}`, stream, undefined, api);
  if (config === undefined || delivered === undefined || unacknowledged === undefined) return undefined;
  const { filter_subject: only, filter_subjects: filters = only === undefined ? [] : [only] } = config;
  return { delivered: delivered.stream_seq, unacknowledged, filters };
}

async function ask<T extends object>(
  requester: RequestPort,
  api: string,
  stream: string,
  request: Uint8Array = new Uint8Array(),
  prefix = '$JS.API',
): Promise<Partial<T>> {
  const answer = await requester.request(`${prefix}.${api}`, request);
  if (answer.kind !== 'answer') throw new NoAnswerError(stream, answer.why);
  const response = apiResponse<T>(answer.message);
  if (response === undefined) throw new NoAnswerError(stream, 'the answer is none of JetStream');
  const { error } = response;
  if (error === undefined) return response;
  if (isAbsent(error)) return {};
  throw new NoAnswerError(stream, error.description);
}
