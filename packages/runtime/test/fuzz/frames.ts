/** Messages of NATS as inputs: a line of words, a header block, a body. What any of them holds is the fuzzer's. */
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { joined } from './mutate-bytes.ts';

export interface Frame {
  words: string[];
  /** Undefined where the message has none. */
  headers: Uint8Array | undefined;
  body: Uint8Array;
}

const encoder = new TextEncoder();
const lenient = new TextDecoder();
const LINE_FEED = 0x0a;
const END_OF_HEADERS = '\r\n\r\n';

/** `<words>\n<headers>\r\n\r\n<body>`; without a header block the body follows the line. */
export function frame(words: string, headers: readonly string[], body: string | Uint8Array): Uint8Array {
  const block = headers.length === 0 ? '' : `NATS/1.0\r\n${headers.join('\r\n')}${END_OF_HEADERS}`;
  return joined(encoder.encode(`${words}\n${block}`), typeof body === 'string' ? encoder.encode(body) : body);
}

export function readFrame(input: Uint8Array): Frame {
  const end = input.indexOf(LINE_FEED);
  const line = end === -1 ? input : input.subarray(0, end);
  const rest = Buffer.from(end === -1 ? [] : input.subarray(end + 1));
  const split = rest.indexOf(END_OF_HEADERS);
  const hasHeaders = rest.subarray(0, 4).toString() === 'NATS' && split !== -1;
  return {
    words: lenient.decode(line).split(' '),
    headers: hasHeaders ? new Uint8Array(rest.subarray(0, split + END_OF_HEADERS.length)) : undefined,
    body: new Uint8Array(hasHeaders ? rest.subarray(split + END_OF_HEADERS.length) : rest),
  };
}

/** A message as the client hands it on: headers are read when they are asked for, and throw where they are none. */
export function messageOf({ headers, body }: Frame, subject: string, reply?: string): Msg {
  const message = {
    subject,
    data: body,
    ...(reply === undefined ? {} : { reply }),
    get headers(): MsgHdrs | undefined {
      return headers === undefined ? undefined : MsgHdrsImpl.decode(headers);
    },
    json: (): unknown => JSON.parse(lenient.decode(body)) as unknown,
    string: () => lenient.decode(body),
  };
  return message as unknown as Msg;
}

/** What a block of headers that we send reads like on the other side, a line a header. */
export function linesOf(headers: MsgHdrs | undefined): string[] {
  if (headers === undefined) return [];
  const text = lenient.decode((headers as unknown as { encode(): Uint8Array }).encode());
  return text.split('\r\n').slice(1, -2);
}
