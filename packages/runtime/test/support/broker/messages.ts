import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { Answer } from '../../../src/nats/requester.ts';

export type Lines = readonly (readonly [name: string, value: string])[];

/** The lines of headers as a client sends them. */
export function linesOf(headers: MsgHdrs | undefined): Lines {
  if (headers === undefined) return [];
  const text = new TextDecoder().decode((headers as MsgHdrsImpl).encode());
  return text
    .split('\r\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
}

export function valueOf(lines: Lines, name: string): string {
  return lines.find(([found]) => found === name)?.[1] ?? '';
}

/** A header block as it goes over the wire. */
export function blockOf(lines: Lines, status = ''): Uint8Array {
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return new TextEncoder().encode(`NATS/1.0${status === '' ? '' : ` ${status}`}\r\n${text}\r\n`);
}

export function messageOf(content: {
  subject?: string;
  reply?: string;
  data?: Uint8Array;
  lines?: Lines;
  status?: string;
}): Msg {
  const { data = new Uint8Array(), lines = [], reply = '', status, subject = '' } = content;
  const headers = MsgHdrsImpl.decode(blockOf(lines, status));
  const json = (): unknown => JSON.parse(new TextDecoder().decode(data));
  return { subject, reply, data, headers, json } as unknown as Msg;
}

export function answerOf(body: object): Answer {
  return { kind: 'answer', message: messageOf({ data: new TextEncoder().encode(JSON.stringify(body)) }) };
}

export function statusAnswer(status: string): Answer {
  return { kind: 'answer', message: messageOf({ status }) };
}

export function errorOf(code: number, errorCode: number, description: string): object {
  return { error: { code, err_code: errorCode, description } };
}

export function isMatch(subject: string, filter: string): boolean {
  if (subject === filter) return true;
  const tokens = subject.split('.');
  const wanted = filter.split('.');
  return tokens.length === wanted.length && wanted.every((token, i) => token === '*' || token === tokens[i]);
}
