import { HEADERS, SIGNAL_EVENTS, type JsonObject } from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import type { ChangeEvent, MeshEvent, SignalEvent } from './types.ts';

const decoder = new TextDecoder();

/** What any delivery of an event has, live or from a stream. */
interface Delivery {
  subject: string;
  data: Uint8Array;
  headers?: MsgHdrs | undefined;
}

/** An event as it came by; undefined for what is none of the protocol's. */
export function liveEvent<State>(message: Delivery): MeshEvent<State> | undefined {
  const event = message.subject.slice(message.subject.lastIndexOf('.') + 1);
  if ((SIGNAL_EVENTS as readonly string[]).includes(event)) return signalEvent(message, event as SignalEvent['event']);
  const { headers } = message;
  return changeEvent(message, event, Number(headers?.get('Nats-Sequence') ?? 0), headers?.get('Nats-Time-Stamp') ?? '');
}

/** A commit as its stream delivers it. */
export function changeEvent<State>(
  message: Delivery,
  event: string,
  sequence: number,
  time: string,
): ChangeEvent<State> | undefined {
  const payload = parse(message.data);
  if (typeof payload?.['entity_id'] !== 'string' || typeof payload['entity_version'] !== 'number') return undefined;
  return {
    kind: 'change',
    event,
    entityId: payload['entity_id'],
    entityVersion: payload['entity_version'],
    state: payload['state'] as State | null,
    data: payload['data'] as JsonObject | undefined,
    sequence,
    time,
    ...ids(message.headers),
  };
}

function signalEvent(message: Delivery, event: SignalEvent['event']): SignalEvent | undefined {
  const payload = parse(message.data);
  return payload === undefined ? undefined : { kind: 'signal', event, payload, ...ids(message.headers) };
}

function ids(headers: MsgHdrs | undefined): { commandId: string; correlationId: string | undefined } {
  const correlationId = headers?.get(HEADERS.correlationId) ?? '';
  return {
    commandId: headers?.get(HEADERS.commandId) ?? '',
    correlationId: correlationId === '' ? undefined : correlationId,
  };
}

function parse(data: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(data));
    return typeof value === 'object' && value !== null ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
