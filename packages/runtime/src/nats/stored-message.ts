import { HEADERS, parseSubject, type JsonObject } from '@meshforge/protocol';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { NO_PLACE, type LogEntry, type QueuePlace, type RecordedRefusal, type StandingLease } from '../core/entity.ts';
import { readFences } from '../core/fences.ts';
import { readRecent } from '../core/recent.ts';
import { NO_BODY, readLease } from './commit-publisher.ts';
import { digestOf } from './digest.ts';

/** A message as a stream keeps it. */
export interface StoredMessage {
  subject: string;
  sequence: number;
  /** RFC 3339. */
  time: string;
  headers: MsgHdrs;
  data: Uint8Array;
}

/** From the answer to a Direct Get. */
export function fromDirectGet(message: Msg): StoredMessage {
  const headers = message.headers as MsgHdrs;
  return {
    subject: headers.get('Nats-Subject'),
    sequence: Number(headers.get('Nats-Sequence')),
    time: headers.get('Nats-Time-Stamp'),
    headers,
    data: message.data,
  };
}

/** The `message` of an answer to `STREAM.MSG.GET`. */
export interface ApiMessage {
  subject: string;
  seq: number;
  time: string;
  hdrs?: string;
  data?: string;
}

export function fromMessageGet(message: ApiMessage): StoredMessage {
  const headers = MsgHdrsImpl.decode(Buffer.from(message.hdrs ?? '', 'base64'));
  return {
    subject: message.subject,
    sequence: message.seq,
    time: message.time,
    headers,
    data: Buffer.from(message.data ?? '', 'base64'),
  };
}

const SCHEDULE = /^@at (.+)$/;
const BODY = /^[\w-]{0,12}$/;
const decoder = new TextDecoder();

/** A message of an agent's log. */
export interface LogMessage {
  entityId: string;
  sequence: number;
  entry: LogEntry;
}

/** The message as its entity's log has it. @throws TypeError, SyntaxError for a message that no agent wrote */
export function logMessage(stored: StoredMessage): LogMessage {
  const { data: bytes, headers, sequence } = stored;
  const place = parseSubject(stored.subject);
  if (place?.kind !== 'entity' && place?.kind !== 'record') {
    throw new TypeError(`message ${sequence} is on ${stored.subject}, where no entity's log is`);
  }
  const { entity_version: version, state, data, refusal } = JSON.parse(decoder.decode(bytes)) as Body;
  const isRecord = place.kind === 'record';
  if (!Number.isSafeInteger(version) || version < (isRecord ? 0 : 1)) {
    throw new TypeError(`message ${sequence} has no version`);
  }
  if (typeof state !== 'object' || Array.isArray(state)) throw new TypeError(`message ${sequence} has no state`);
  const recent = headers.get(HEADERS.recent);
  const notes = headers.get(HEADERS.notes);
  const fences = headers.get(HEADERS.fences);
  const body = headers.get(HEADERS.body);
  if (!BODY.test(body)) throw new TypeError(`message ${sequence} has a digest of a body that is none`);
  const entry: LogEntry = {
    kind: 'commit',
    event: isRecord ? '' : place.event,
    version,
    state,
    data,
    earlier: readRecent(recent),
    command:
      body === ''
        ? undefined
        : { digest: digestOf(headers.get(HEADERS.commandId)), body: body === NO_BODY ? '' : body },
    notes,
    fences: readFences(fences),
    mark: readMark(headers.get(HEADERS.mark), sequence),
    bytes: bytes.length + recent.length + notes.length + fences.length,
  };
  const lease = standingLease(headers, entry, sequence);
  const found = { entityId: place.entityId, sequence };
  if (isRecord) return { ...found, entry: { ...entry, kind: 'record', lease, refusal } };
  if (place.slot === 'x') {
    const scheduler = parseSubject(headers.get('Nats-Scheduler'));
    const event = scheduler?.kind === 'entity' ? scheduler.event : place.event;
    return { ...found, entry: { ...entry, kind: 'expiry', event } };
  }
  return { ...found, entry: { ...entry, kind: headers.has(HEADERS.unchanged) ? 'unchanged' : 'commit', lease } };
}

interface Body {
  entity_version: number;
  state: JsonObject | null;
  data?: JsonObject;
  refusal?: RecordedRefusal;
}

/** The lease that a message sets, or leaves as it was. */
function standingLease(
  headers: MsgHdrs,
  { event, version }: Pick<LogEntry, 'event' | 'version'>,
  sequence: number,
): StandingLease | undefined {
  const schedule = SCHEDULE.exec(headers.get('Nats-Schedule'))?.[1];
  if (schedule !== undefined) {
    const endsAt = Date.parse(schedule);
    if (Number.isNaN(endsAt)) throw new TypeError(`message ${sequence} has a lease that ends at no time`);
    return { endsAt, event, version };
  }
  const kept = headers.get(HEADERS.lease);
  const lease = readLease(kept);
  if (kept !== '' && lease === undefined) throw new TypeError(`message ${sequence} keeps a lease that is none`);
  return lease;
}

const MARK = /^([\da-z]{1,11})\.([\da-z]{1,11})$/;

function readMark(text: string, sequence: number): QueuePlace {
  if (text === '') return NO_PLACE;
  const [, place = '', time = ''] = MARK.exec(text) ?? [];
  const mark = { sequence: parseInt(place, 36), storedAt: parseInt(time, 36) };
  if (!Number.isSafeInteger(mark.sequence) || !Number.isSafeInteger(mark.storedAt)) {
    throw new TypeError(`message ${sequence} has a mark that is none`);
  }
  return mark;
}
