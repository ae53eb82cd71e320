import type { Msg, MsgHdrs, Publisher, ReviverFn, Payload, PublishOptions } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
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

/** A message as the client library hands it to its user: headers are read when they are asked for, and may throw then. */
export class SimulatedMsg implements Msg {
  readonly subject: string;
  readonly reply: string;
  readonly sid: number;
  readonly data: Uint8Array;
  readonly #block: HeaderBlock | undefined;
  readonly #publisher: Publisher;
  #headers: MsgHdrs | undefined;

  constructor({ subject, reply, headers, data }: Wire, sid: number, publisher: Publisher) {
    this.subject = subject;
    this.reply = reply;
    this.sid = sid;
    this.data = data;
    this.#block = headers;
    this.#publisher = publisher;
  }

  get headers(): MsgHdrs {
    if (this.#block !== undefined) this.#headers ??= MsgHdrsImpl.decode(this.#block.bytes);
    return this.#headers as MsgHdrs;
  }

  respond(data: Payload = EMPTY, options?: PublishOptions): boolean {
    if (this.reply === '') return false;
    this.#publisher.publish(this.reply, data, options);
    return true;
  }

  json<T>(reviver?: ReviverFn): T {
    return JSON.parse(this.string(), reviver) as T;
  }

  string(): string {
    return decoder.decode(this.data);
  }

  size(): number {
    return this.subject.length + this.reply.length + (this.#block?.size ?? 0) + this.data.length;
  }
}
