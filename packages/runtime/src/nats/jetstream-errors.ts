/** The one place that knows JetStream's error codes. */
import type { JetStreamApiError } from '@nats-io/jetstream';
import type { Msg } from '@nats-io/nats-core';
import type { Answer } from './requester.ts';

/** What became of a publish to a stream. */
export type PublishResult =
  | { kind: 'stored'; sequence: number }
  /** The stream holds a message with this message id already. */
  | { kind: 'duplicate'; sequence: number }
  /** Somebody else's write came first, or is in flight; this one is not in the stream. `last`: sequence of that write, if known. */
  | { kind: 'lost_race'; last?: number }
  /** The server refused it for good; it is not in the stream. */
  | { kind: 'refused'; why: string }
  /** It may be in the stream: look. */
  | { kind: 'unknown'; why: string };

const WRONG_LAST_SEQUENCE = 10071;
/** Replicated streams: another write to the same subject or message id is in flight. */
const WRONG_LAST_SEQUENCE_IN_FLIGHT = 10164;
const SAME_MESSAGE_ID_IN_PROCESS = 10158;
const INVALID_ROLLUP = 10111;

/** The stream or the account is full. Checked before a message is taken, so it is not in the stream. */
const FULL = new Set([10023, 10047, 10077]);

/** Answers that say "not now": the message may have been proposed all the same. */
const TRANSIENT_STATUS = new Set([408, 429, 503]);

export const STREAM_NOT_FOUND = 10059;
export const CONSUMER_NOT_FOUND = 10014;
export const STREAM_NAME_IN_USE = 10058;
export const MESSAGE_NOT_FOUND = 10037;
/** Of a message that is to be deleted. */
const SEQUENCE_NOT_FOUND = 10043;
/** Also for a message outside the sequences of the stream, which only the description tells. */
const DELETE_FAILED = 10057;
const OUTSIDE = new Set(['no message found', 'stream store EOF']);
/** With another configuration; with the same one, creating it again is no error. */
export const CONSUMER_EXISTS = 10148;

const NOT_ENABLED = new Set([10039, 10076]);
const NO_SUITABLE_PEERS = 10005;

/** Whether asking again can help: a cluster has no leader yet, or not enough of its servers have come up. */
export function isTransient(error: JetStreamApiError): boolean {
  if (NOT_ENABLED.has(error.code)) return false;
  return TRANSIENT_STATUS.has(error.status) || error.code === NO_SUITABLE_PEERS;
}

/** What the server knows of a command's id. */
export type ProbeResult =
  /** The stream took a message with it within the dedupe window. */
  { kind: 'taken'; sequence: number } | { kind: 'not_taken' } | { kind: 'unknown' };

interface ApiError {
  code: number;
  err_code: number;
  description: string;
}

export interface ApiResponse {
  error?: ApiError;
  ts?: string;
}

/** Whether what was asked about is not there. */
export function isAbsent({ description, err_code: errorCode }: ApiError): boolean {
  if (errorCode === DELETE_FAILED) return OUTSIDE.has(description);
  return errorCode === MESSAGE_NOT_FOUND || errorCode === SEQUENCE_NOT_FOUND || errorCode === CONSUMER_NOT_FOUND;
}

/** Reads the answer to a publish that is a duplicate, or else refused for its roll-up. */
export function readProbe(answer: Answer): ProbeResult {
  const ack = readPublishAck(answer);
  if (ack.kind === 'duplicate') return { kind: 'taken', sequence: ack.sequence };
  if (answer.kind !== 'answer' || answer.message.data.length === 0) return { kind: 'unknown' };
  return { kind: apiResponse(answer.message)?.error?.err_code === INVALID_ROLLUP ? 'not_taken' : 'unknown' };
}

/** Reads a publish acknowledgement. */
export function readPublishAck(answer: Answer): PublishResult {
  if (answer.kind === 'unsent') return { kind: 'refused', why: answer.why };
  if (answer.kind === 'lost') return { kind: 'unknown', why: answer.why };
  const { message } = answer;
  if (message.data.length === 0) {
    const status = message.headers?.code ?? 0;
    return { kind: 'unknown', why: status === 503 ? 'no stream leader answers' : `status ${status}` };
  }
  const ack = apiResponse<{ seq?: unknown; duplicate?: unknown }>(message);
  if (ack === undefined) return { kind: 'unknown', why: 'the acknowledgement is none of JetStream' };
  if (ack.error !== undefined) return readError(ack.error);
  const { seq: sequence, duplicate } = ack;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 1) {
    return { kind: 'unknown', why: 'the acknowledgement has no sequence' };
  }
  return { kind: duplicate === true ? 'duplicate' : 'stored', sequence };
}

/** An answer of JetStream's API; undefined for anything else. */
export function apiResponse<T extends object>(message: Pick<Msg, 'json'>): (Partial<T> & ApiResponse) | undefined {
  let response: unknown;
  try {
    response = message.json();
  } catch {
    return undefined;
  }
  if (typeof response !== 'object' || response === null) return undefined;
  const { error, ...found } = response as Partial<T> & { error?: unknown };
  if (error === undefined) return found as Partial<T>;
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, err_code: errorCode, description } = error as Partial<Record<keyof ApiError, unknown>>;
  const read: ApiError = { code: Number(code), err_code: Number(errorCode), description: String(description) };
  return { ...(found as Partial<T>), error: read };
}

function readError({ code, err_code: errorCode, description }: ApiError): PublishResult {
  if (errorCode === WRONG_LAST_SEQUENCE) {
    const last = Number(/: (\d{1,16})$/.exec(description)?.[1]);
    return Number.isSafeInteger(last) ? { kind: 'lost_race', last } : { kind: 'lost_race' };
  }
  if (errorCode === WRONG_LAST_SEQUENCE_IN_FLIGHT) return { kind: 'lost_race' };
  const why = `${description} (${errorCode})`;
  if (FULL.has(errorCode)) return { kind: 'refused', why };
  if (errorCode === SAME_MESSAGE_ID_IN_PROCESS || TRANSIENT_STATUS.has(code)) return { kind: 'unknown', why };
  return { kind: 'refused', why };
}

/** A stream did not answer a request: nobody leads it for the moment, or the connection broke. */
export class NoAnswerError extends Error {
  constructor(stream: string, why: string) {
    super(`${stream} does not answer: ${why}`);
    this.name = 'NoAnswerError';
  }
}
