import type { HeaderBlock } from '../headers.ts';
import { doCollide, isPublishSubject } from '../subjects.ts';
import type { StreamSettings } from './config.ts';
import { API_ERRORS, rollupFailed, storeFailed, wrongLastId, wrongLastSequence, type ApiError } from './errors.ts';
import { scheduleTime } from './schedules.ts';
import type { StoredMessage } from './store.ts';

/** A message that a stream is to store. */
export interface Inbound {
  subject: string;
  reply: string;
  headers: HeaderBlock | undefined;
  data: Uint8Array;
  /** From a schedule of the stream itself: nothing is checked. */
  isFired: boolean;
}

/** What the checks look at. */
export interface CheckedStream {
  readonly settings: StreamSettings;
  readonly count: number;
  readonly lastSequence: number;
  readonly lastId: string;
  last(filter: string): StoredMessage | undefined;
  /** The sequence of the message with this id; 0: in process. */
  known(id: string): number | undefined;
  /** Of a replicated stream, what it has taken in and not stored. */
  readonly inFlight?: InFlight;
}

/** What a replicated stream has taken in and not stored. */
export interface InFlight {
  /** Filters for which an expectation was checked. */
  expected(filter: string): boolean;
  /** Whether a message with exactly this subject is there, and whether the last one is a schedule. */
  subject(subject: string): { isSchedule: boolean } | undefined;
}

export type Verdict =
  | { kind: 'taken' }
  | { kind: 'duplicate'; sequence: number }
  | { kind: 'refused'; error: ApiError };

const TAKEN: Verdict = { kind: 'taken' };
const refused = (error: ApiError | undefined): Verdict | undefined =>
  error === undefined ? undefined : { kind: 'refused', error };

/** The checks of a stream that is not replicated, in the server's order. */
export function checkAlone(stream: CheckedStream, inbound: Inbound): Verdict {
  const { headers } = inbound;
  return (
    refused(size(stream, inbound)) ??
    (headers === undefined || inbound.isFired
      ? undefined
      : (refused(
          streamName(stream, headers) ??
            mayLive(stream, headers, false) ??
            lastSubjectSequence(stream, inbound, headers) ??
            lastSequence(stream, headers) ??
            schedule(stream, inbound, headers) ??
            scheduleNext(stream, inbound, headers),
        ) ??
        duplicate(stream, headers) ??
        refused(lastId(stream, headers) ?? rollup(stream, headers)))) ??
    refused(timeToLive(headers) ?? room(stream)) ??
    TAKEN
  );
}

/** The checks of the leader of a replicated stream, in the server's order. */
export function checkReplicated(stream: CheckedStream, inbound: Inbound): Verdict {
  const { headers } = inbound;
  return (
    refused(size(stream, inbound)) ??
    (headers === undefined || inbound.isFired
      ? undefined
      : (refused(streamName(stream, headers) ?? mayLive(stream, headers, true) ?? timeToLive(headers)) ??
        duplicate(stream, headers) ??
        refused(
          lastSequence(stream, headers) ??
            lastSubjectSequence(stream, inbound, headers) ??
            schedule(stream, inbound, headers) ??
            scheduleNext(stream, inbound, headers) ??
            rollup(stream, headers),
        ))) ??
    refused(room(stream)) ??
    TAKEN
  );
}

/** Milliseconds; `Infinity` for "never", undefined for a text that is none. */
export function ttlOf(text: string): number | undefined {
  if (text.toLowerCase() === 'never') return Infinity;
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  const found = [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
  if (found.length === 0 || found.map(([each]) => each).join('') !== text) return undefined;
  const ms = found.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0);
  return ms < 1_000 ? undefined : Math.floor(ms / 1_000) * 1_000;
}

function streamName({ settings }: CheckedStream, headers: HeaderBlock): ApiError | undefined {
  const expected = headers.get('Nats-Expected-Stream');
  return expected !== '' && expected !== settings.name ? API_ERRORS.streamNotMatch : undefined;
}

/** Whether messages may have a time to live. A replicated stream says so first, another one only of a time that is valid. */
function mayLive({ settings }: CheckedStream, headers: HeaderBlock, isReplicated: boolean): ApiError | undefined {
  const text = headers.get('Nats-TTL');
  if (text === '' || settings.allow_msg_ttl === true) return undefined;
  return isReplicated || ttlOf(text) !== undefined ? API_ERRORS.ttlDisabled : undefined;
}

function timeToLive(headers: HeaderBlock | undefined): ApiError | undefined {
  const text = headers?.get('Nats-TTL') ?? '';
  return text === '' || ttlOf(text) !== undefined ? undefined : API_ERRORS.ttlInvalid;
}

function lastSubjectSequence(stream: CheckedStream, { subject }: Inbound, headers: HeaderBlock): ApiError | undefined {
  const expected = headers.get('Nats-Expected-Last-Subject-Sequence');
  const other = headers.get('Nats-Expected-Last-Subject-Sequence-Subject');
  if (expected === '') return other === '' ? undefined : API_ERRORS.lastSequenceMissing;
  const filter = other === '' ? subject : other;
  const { inFlight } = stream;
  if (inFlight !== undefined && (inFlight.expected(filter) || inFlight.subject(filter) !== undefined)) {
    return API_ERRORS.wrongLastInFlight;
  }
  const last = stream.last(filter)?.sequence ?? 0;
  return String(last) === expected.replace(/^0+(?=\d)/, '') ? undefined : wrongLastSequence(last);
}

function lastSequence(stream: CheckedStream, headers: HeaderBlock): ApiError | undefined {
  const expected = headers.get('Nats-Expected-Last-Sequence');
  if (expected === '' || Number(expected) === stream.lastSequence) return undefined;
  return wrongLastSequence(stream.lastSequence);
}

function schedule({ settings }: CheckedStream, { subject }: Inbound, headers: HeaderBlock): ApiError | undefined {
  const pattern = headers.get('Nats-Schedule');
  if (pattern === '') return undefined;
  const isAllowed = settings.allow_msg_schedules === true;
  if (!isAllowed) return API_ERRORS.schedulesDisabled;
  if (scheduleTime(pattern) === undefined) return API_ERRORS.scheduleInvalid;
  const ttl = headers.get('Nats-Schedule-TTL');
  if (ttl !== '' && ttlOf(ttl) === undefined) return API_ERRORS.scheduleTtlInvalid;
  if (ttl !== '' && settings.allow_msg_ttl !== true) return API_ERRORS.ttlDisabled;
  const target = headers.get('Nats-Schedule-Target');
  if (target === '' || !isPublishSubject(target) || target === subject) return API_ERRORS.scheduleTargetInvalid;
  if (!settings.subjects.some((each) => doCollide(each, target))) return API_ERRORS.scheduleTargetInvalid;
  const rollsUp = headers.get('Nats-Rollup');
  return rollsUp === '' || rollsUp === 'sub' ? undefined : API_ERRORS.scheduleRollupInvalid;
}

function scheduleNext(stream: CheckedStream, { subject }: Inbound, headers: HeaderBlock): ApiError | undefined {
  const next = headers.get('Nats-Schedule-Next');
  const scheduler = headers.get('Nats-Scheduler');
  if (next === '') return scheduler === '' ? undefined : API_ERRORS.schedulerInvalid;
  if (next !== 'purge' || scheduler === '' || scheduler === subject || !isPublishSubject(scheduler)) {
    return API_ERRORS.schedulerInvalid;
  }
  if (stream.settings.allow_msg_schedules !== true) return API_ERRORS.schedulesDisabled;
  const inFlight = stream.inFlight?.subject(scheduler);
  const standing = stream.last(scheduler);
  const isSchedule =
    inFlight === undefined
      ? standing === undefined || standing.headers?.has('Nats-Schedule') === true
      : inFlight.isSchedule;
  return isSchedule ? undefined : API_ERRORS.schedulerInvalid;
}

function duplicate(stream: CheckedStream, headers: HeaderBlock): Verdict | undefined {
  const id = headers.get('Nats-Msg-Id');
  const sequence = id === '' ? undefined : stream.known(id);
  if (sequence === undefined) return undefined;
  return sequence === 0 ? refused(API_ERRORS.idInProcess) : { kind: 'duplicate', sequence };
}

function lastId(stream: CheckedStream, headers: HeaderBlock): ApiError | undefined {
  const expected = headers.get('Nats-Expected-Last-Msg-Id');
  return expected === '' || expected === stream.lastId ? undefined : wrongLastId(stream.lastId);
}

function rollup({ settings }: CheckedStream, headers: HeaderBlock): ApiError | undefined {
  const value = headers.get('Nats-Rollup');
  if (value === '') return undefined;
  if (!settings.allow_rollup_hdrs || settings.deny_purge) return rollupFailed('rollup not permitted');
  return value === 'sub' || value === 'all' ? undefined : rollupFailed(`rollup value invalid: "${value}"`);
}

function size({ settings }: CheckedStream, { data, headers }: Inbound): ApiError | undefined {
  const most = settings.max_msg_size;
  return most >= 0 && data.length + (headers?.size ?? 0) > most ? API_ERRORS.tooLarge : undefined;
}

function room({ count, settings }: CheckedStream): ApiError | undefined {
  const { discard, max_msgs: most } = settings;
  return discard === 'new' && most > 0 && count >= most ? storeFailed('maximum messages exceeded') : undefined;
}
