import { decode, HEADERS, JsonObject, SIGNAL_EVENTS, SuccessPayload } from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import type { ChangeEvent, MeshEvent, SignalEvent } from './types.ts';

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
  const sequence = Number(headers?.get('Nats-Sequence'));
  // The server names the place of every commit.
  if (!Number.isSafeInteger(sequence) || sequence < 1) return undefined;
  return changeEvent(message, event, sequence, headers?.get('Nats-Time-Stamp') ?? '');
}

/** A commit as its stream delivers it. */
export function changeEvent<State>(
  message: Delivery,
  event: string,
  sequence: number,
  time: string,
): ChangeEvent<State> | undefined {
  const payload = decode(SuccessPayload, message.data);
  if (!payload.ok) return undefined;
  const { entity_id: entityId, entity_version: entityVersion, state, data } = payload.value;
  return {
    kind: 'change',
    event,
    entityId,
    entityVersion,
    state: state as State | null,
    data,
    sequence,
    time,
    ...ids(message.headers),
  };
}

function signalEvent(message: Delivery, event: SignalEvent['event']): SignalEvent | undefined {
  const payload = decode(JsonObject, message.data);
  return payload.ok ? { kind: 'signal', event, payload: payload.value, ...ids(message.headers) } : undefined;
}

function ids(headers: MsgHdrs | undefined): { commandId: string; correlationId: string | undefined } {
  const correlationId = headers?.get(HEADERS.correlationId) ?? '';
  return {
    commandId: headers?.get(HEADERS.commandId) ?? '',
    correlationId: correlationId === '' ? undefined : correlationId,
  };
}
