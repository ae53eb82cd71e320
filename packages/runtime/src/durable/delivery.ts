import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { headersOf } from '../intake/command-headers.ts';

/** A message of a stream that somebody works off. */
export interface QueuedMessage {
  readonly sequence: number;
  readonly subject: string;
  /** `unreadable`: the sender wrote some that no header can be. */
  readonly headers: MsgHdrs | 'unreadable' | undefined;
  readonly data: Uint8Array;
  /** When it was stored, in milliseconds since the epoch by the server's clock. */
  readonly storedAt: number;
}

/** A message as a consumer delivers it. */
export interface Delivery {
  message: QueuedMessage;
  /** Where it is acknowledged. */
  reply: string;
  /** Id of the worker that the consumer serves alone for the moment. */
  pin: string;
  /** Counts the consumer's deliveries, without a gap. */
  number: number;
  /** Whether the message was delivered before, to this worker or another. */
  isRepeated: boolean;
  /** Messages that are not delivered yet. */
  pending: number;
}

/** Tells a message from every other. A sequence alone does not: a stream that is restored counts on from where it was. */
export function identityOf({ sequence, storedAt }: QueuedMessage): string {
  return `${sequence}-${storedAt}`;
}

/** The value of a header; empty where there is none. */
export function headerOf({ headers }: QueuedMessage, name: string): string {
  return headers === undefined || headers === 'unreadable' ? '' : headers.get(name);
}

/** Undefined for what no consumer delivered. Never throws. */
export function readDelivery(message: Msg): Delivery | undefined {
  const { data, reply = '', subject } = message;
  // `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, from the end:
  // some servers put a domain and an account before.
  const tokens = reply.split('.').slice(-5);
  const [deliveries = 0, sequence = 0, number = 0, , pending = 0] = tokens.map(Number);
  // More digits than a number holds: rounded, it could be in another millisecond than the stream says.
  const milliseconds = /^(\d+)\d{6}$/.exec(tokens[3] ?? '')?.[1];
  if (!Number.isSafeInteger(sequence) || sequence < 1 || milliseconds === undefined) return undefined;
  const headers = headersOf(message);
  return {
    message: { sequence, subject, headers, data, storedAt: Number(milliseconds) },
    reply,
    pin: pinOf(message, headers),
    number,
    isRepeated: deliveries > 1,
    pending,
  };
}

const PIN = 'Nats-Pin-Id';

/** The server writes the pin behind the sender's headers: the last one is its own. */
function pinOf(message: Msg, headers: QueuedMessage['headers']): string {
  if (headers !== 'unreadable') return headers?.values(PIN).at(-1) ?? '';
  const { _msg, _rdata } = message as unknown as { _msg: { hdr: number }; _rdata: Uint8Array };
  const text = Buffer.from(_rdata.subarray(0, _msg.hdr)).toString('latin1');
  return [...text.matchAll(new RegExp(`^${PIN}: ?(.*)\\r$`, 'gm'))].at(-1)?.[1] ?? '';
}
