import type { Publisher } from '@nats-io/nats-core';
import { MsgImpl } from '@nats-io/nats-core/internal';
import type { HeaderBlock } from './headers.ts';

/** A message on its way. */
export interface Wire {
  readonly subject: string;
  readonly reply: string;
  readonly headers: HeaderBlock | undefined;
  readonly data: Uint8Array;
}

export const EMPTY = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function jsonBytes(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

export function textBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export function textOf(data: Uint8Array): string {
  return decoder.decode(data);
}

/** A message as the client library makes it of what comes over the wire: headers are read when they are asked for. */
export class SimulatedMsg extends MsgImpl {
  constructor({ subject, reply, headers, data }: Wire, sid: number, publisher: Publisher) {
    const hdr = headers?.size ?? -1;
    const whole = headers === undefined ? data : joined(headers.bytes, data);
    super({ subject: EMPTY, reply: EMPTY, sid, hdr, size: whole.length }, whole, publisher);
    this._subject = subject;
    this._reply = reply;
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const whole = new Uint8Array(one.length + other.length);
  whole.set(one);
  whole.set(other, one.length);
  return whole;
}
