/** Reads of a stream's messages: the API of its leader, and direct gets from any of its servers. */
import { HeaderBlock } from '../headers.ts';
import { EMPTY, textOf, type Wire } from '../message.ts';
import { isMatch } from '../subjects.ts';
import { API_ERRORS, type ApiError } from './errors.ts';
import type { MessageStore, StoredMessage } from './store.ts';
import { nanoTime } from './times.ts';

const NO_HEADERS = HeaderBlock.of([]);
/** A multi get answers with at most so many messages. */
const MOST_RESULTS = 1_024;

interface GetRequest {
  seq?: number;
  last_by_subj?: string;
  next_by_subj?: string;
  batch?: number;
  multi_last?: string[];
  up_to_seq?: number;
  no_hdr?: boolean;
  start_time?: string;
}

/** The messages of a stream, as one of its servers has them. */
export interface View {
  readonly lastSequence: number;
  at(sequence: number): StoredMessage | undefined;
  last(filter: string): StoredMessage | undefined;
  next(filter: string, from: number): StoredMessage | undefined;
  matching(filter: string): readonly StoredMessage[];
}

/** The messages as they were after so many changes: what a server has that lags behind. */
export function earlierView(store: MessageStore, version: number): View {
  const find = (isWanted: (message: StoredMessage) => boolean): StoredMessage | undefined => {
    for (const message of store.asOf(version)) if (isWanted(message)) return message;
    return undefined;
  };
  const matching = (filter: string): StoredMessage[] =>
    [...store.asOf(version)].filter(({ subject }) => isMatch(subject, filter)).toReversed();
  return {
    get lastSequence() {
      return find(() => true)?.sequence ?? 0;
    },
    at: (sequence) => find((message) => message.sequence === sequence),
    last: (filter) => find(({ subject }) => isMatch(subject, filter)),
    next: (filter, from) => matching(filter).find(({ sequence }) => sequence >= from),
    matching,
  };
}

/** `STREAM.MSG.GET` */
export function messageGet(view: View, data: Uint8Array): { message: object } | { error: ApiError } {
  const request = parse(data);
  if (request === undefined) return { error: API_ERRORS.badRequest };
  const { last_by_subj: last = '', next_by_subj: next = '', seq = 0, start_time: startTime } = request;
  if (startTime !== undefined) throw new TypeError('not modelled: a get by time');
  const isNothing = seq === 0 && last === '' && next === '';
  if ((request.batch ?? 0) > 0 || isNothing || (last !== '' && (seq > 0 || next !== ''))) {
    return { error: API_ERRORS.badRequest };
  }
  const message = next !== '' ? view.next(next, seq) : last !== '' ? view.last(last) : view.at(seq);
  if (message === undefined) return { error: API_ERRORS.noMessage };
  const { headers, micros, sequence, subject } = message;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const body = {
    subject,
    seq: sequence,
    ...(headers === undefined ? {} : { hdrs: base64(headers.bytes) }),
    ...(message.data.length === 0 ? {} : { data: base64(message.data) }),
    time: nanoTime(micros),
  };
  return { message: body };
}

/** `DIRECT.GET.<stream>` and `DIRECT.GET.<stream>.<subject>`: the messages of the answer. */
export function directGet(view: View, stream: string, lastOf: string, reply: string, data: Uint8Array): Wire[] {
  const status = (text: string): Wire[] => [wire(reply, HeaderBlock.of([], text), EMPTY)];
  if (lastOf !== '') {
    if (data.length > 0 && Object.keys(parse(data) ?? { bad: 1 }).length > 0) return status('408 Bad Request');
    const message = view.last(lastOf);
    return message === undefined ? status('404 Message Not Found') : [found(reply, stream, message)];
  }
  if (data.length === 0) return status('408 Empty Request');
  const request = parse(data);
  if (request === undefined) return status('408 Malformed Request');
  const { batch = 0, last_by_subj: last = '', multi_last: multi = [], next_by_subj: next = '', seq = 0 } = request;
  if (request.start_time !== undefined) throw new TypeError('not modelled: a get by time');
  if (seq === 0 && last === '' && next === '' && multi.length === 0) return status('408 Empty Request');
  const isLast = last !== '' && (seq > 0 || next !== '' || batch > 0 || multi.length > 0);
  if (isLast || (next !== '' && multi.length > 0)) return status('408 Bad Request');
  if (multi.length > 0 && seq > 0) throw new TypeError('not modelled: a multi get from a sequence on');
  if (multi.length > 0) return multiGet(view, stream, reply, request);
  if (batch > 0) return batchGet(view, stream, reply, request);
  const message = next !== '' ? view.next(next, seq) : last !== '' ? view.last(last) : view.at(seq);
  return message === undefined ? status('404 Message Not Found') : [found(reply, stream, message)];
}

function multiGet(view: View, stream: string, reply: string, request: GetRequest): Wire[] {
  const { batch = 0, multi_last: filters = [], up_to_seq: wantedUpTo = 0 } = request;
  const upTo = wantedUpTo === 0 ? view.lastSequence : wantedUpTo;
  const newest = new Map<string, StoredMessage>();
  for (const filter of filters) {
    for (const message of view.matching(filter)) {
      if (message.sequence <= upTo) newest.set(message.subject, message);
    }
  }
  const all = [...newest.values()].sort((one, other) => one.sequence - other.sequence);
  // A limit that the stream has not reached finds nothing.
  if (all.length === 0 || upTo > view.lastSequence) return [wire(reply, HeaderBlock.of([], '404 No Results'), EMPTY)];
  if (all.length > MOST_RESULTS && batch === 0) {
    return [wire(reply, HeaderBlock.of([], '413 Too Many Results'), EMPTY)];
  }
  const sent = batch > 0 ? all.slice(0, batch) : all;
  let last = 0;
  const answers = sent.map((message, at) => {
    const answer = found(reply, stream, message, { pending: all.length - at - 1, last });
    last = message.sequence;
    return answer;
  });
  const end: [string, string][] = [
    ['Nats-Num-Pending', String(all.length - sent.length)],
    ['Nats-Last-Sequence', String(last)],
    ['Nats-UpTo-Sequence', String(upTo)],
  ];
  return [...answers, wire(reply, HeaderBlock.of(end, '204 EOB'), EMPTY)];
}

function batchGet(view: View, stream: string, reply: string, request: GetRequest): Wire[] {
  const { batch = 0, next_by_subj: next = '', seq = 0 } = request;
  const all = view.matching(next === '' ? '>' : next).filter(({ sequence }) => sequence >= seq);
  const sent = all.slice(0, batch);
  if (sent.length === 0) return [wire(reply, HeaderBlock.of([], '404 Message Not Found'), EMPTY)];
  let last = 0;
  const answers = sent.map((message, at) => {
    const answer = found(reply, stream, message, { pending: all.length - at - 1, last });
    last = message.sequence;
    return answer;
  });
  const end: [string, string][] = [
    ['Nats-Num-Pending', String(all.length - sent.length)],
    ['Nats-Last-Sequence', String(last)],
  ];
  return [...answers, wire(reply, HeaderBlock.of(end, '204 EOB'), EMPTY)];
}

function found(reply: string, stream: string, message: StoredMessage, batch?: { pending: number; last: number }): Wire {
  const { data, headers = NO_HEADERS, micros, sequence, subject } = message;
  const own: [string, string | number][] = [
    ['Nats-Stream', stream],
    ['Nats-Subject', subject],
    ['Nats-Sequence', sequence],
    ['Nats-Time-Stamp', nanoTime(micros)],
  ];
  if (batch !== undefined) own.push(['Nats-Num-Pending', batch.pending], ['Nats-Last-Sequence', batch.last]);
  return wire(reply, headers.with(own), data);
}

function wire(subject: string, headers: HeaderBlock, data: Uint8Array): Wire {
  return { subject, reply: '', headers, data };
}

function parse(data: Uint8Array): GetRequest | undefined {
  try {
    return JSON.parse(textOf(data)) as GetRequest;
  } catch {
    return undefined;
  }
}
