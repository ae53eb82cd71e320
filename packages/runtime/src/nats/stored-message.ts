import { HEADERS, parseSubject } from '@meshforge/protocol';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { AnyAgent } from '../core/agent.ts';
import type { LogMessage } from '../core/entity.ts';
import { readLease } from './commit-publisher.ts';
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
const decoder = new TextDecoder();

/** The message as its entity's log has it. @throws TypeError, SyntaxError for a message that no agent wrote */
export function logMessage(agent: AnyAgent, stored: StoredMessage): LogMessage {
  const { headers, data } = stored;
  const parsed = parseSubject(stored.subject);
  if (parsed?.kind !== 'entity') throw new TypeError(`message ${stored.sequence} is no commit: ${stored.subject}`);
  const body = JSON.parse(decoder.decode(data)) as LogMessage['body'];
  const { entity_version: version, state } = body;
  if (!Number.isSafeInteger(version) || version < 1) throw new TypeError(`message ${stored.sequence} has no version`);
  if (typeof state !== 'object' || Array.isArray(state)) throw new TypeError(`message ${stored.sequence} has no state`);
  const recent = headers.get(HEADERS.recent);
  const fences = headers.get(HEADERS.fences);
  const notes = headers.get(HEADERS.notes);
  const message: LogMessage = {
    entityId: parsed.entityId,
    sequence: stored.sequence,
    event: parsed.event,
    body,
    bytes: data.length + recent.length + notes.length + fences.length,
    recent,
    notes,
    fences,
    digest: digestOf(headers.get(HEADERS.commandId)),
  };
  if (parsed.event === agent.lease?.expiryEvent) {
    const scheduler = parseSubject(headers.get('Nats-Scheduler'));
    return { ...message, expiredEvent: scheduler?.kind === 'entity' ? scheduler.event : parsed.event };
  }
  const schedule = SCHEDULE.exec(headers.get('Nats-Schedule'))?.[1];
  if (schedule === undefined) {
    const aside = headers.get(HEADERS.aside);
    if (aside === '') return message;
    const kept = headers.get(HEADERS.lease);
    const keptLease = readLease(kept);
    if ((aside !== 'remembered' && aside !== 'forgotten') || (kept !== '' && keptLease === undefined)) {
      throw new TypeError(`message ${stored.sequence} leaves a lease alone that is none`);
    }
    return keptLease === undefined ? { ...message, aside } : { ...message, aside, keptLease };
  }
  const leaseEndsAt = Date.parse(schedule);
  if (Number.isNaN(leaseEndsAt)) throw new TypeError(`message ${stored.sequence} has a lease that ends at no time`);
  return { ...message, leaseEndsAt };
}
