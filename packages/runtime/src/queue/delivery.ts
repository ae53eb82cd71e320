import type { Msg } from '@nats-io/nats-core';
import { headersOf } from '../intake/command-headers.ts';
import type { QueuedMessage } from './tenure.ts';

/** A message as a consumer delivers it. */
export interface Delivery {
  message: QueuedMessage;
  /** Where it is acknowledged. */
  reply: string;
  /** To whom the consumer delivers alone. */
  pin: string;
  /** Counts the consumer's deliveries, without a gap. */
  delivery: number;
  /** Messages that are not delivered yet. */
  pending: number;
}

/** Undefined for what no consumer delivered. */
export function readDelivery(message: Msg): Delivery | undefined {
  const { data, reply = '', subject } = message;
  // `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, from the end:
  // some servers put a domain and an account before.
  const tokens = reply.split('.').slice(-5);
  const [deliveries = 0, sequence = 0, delivery = 0, , pending = 0] = tokens.map(Number);
  // More digits than a number holds: rounded, it could be in another millisecond than the stream says.
  const milliseconds = /^(\d+)\d{6}$/.exec(tokens[3] ?? '')?.[1];
  if (!Number.isSafeInteger(sequence) || sequence < 1 || milliseconds === undefined) return undefined;
  const found = headersOf(message);
  const headers = found === 'unreadable' ? undefined : found;
  const pin = found === 'unreadable' ? pinOf(message) : (headers?.get(PIN) ?? '');
  const storedAt = Number(milliseconds);
  const isRepeated = deliveries > 1;
  return {
    message: { sequence, subject, headers, data, storedAt, isRepeated },
    reply,
    pin,
    delivery,
    pending,
  };
}

const PIN = 'Nats-Pin-Id';

/** Of a message whose sender gave it headers that the client refuses to read: the server's own stands among them. */
function pinOf(message: Msg): string {
  const { _msg, _rdata } = message as unknown as { _msg: { hdr: number }; _rdata: Uint8Array };
  const text = Buffer.from(_rdata.subarray(0, _msg.hdr)).toString('latin1');
  return new RegExp(`^${PIN}: ?(.*)\\r$`, 'm').exec(text)?.[1] ?? '';
}
