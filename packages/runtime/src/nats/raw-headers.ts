import type { MsgHdrs } from '@nats-io/nats-core';
import { utf8 } from './utf8.ts';

/**
 * Headers built once, as the bytes that go over the wire. The client only ever calls `encode()` on what it publishes;
 * its own header type re-encodes and re-checks every value, which costs more than the rest of a publish.
 *
 * @param lines name and value pairs; values must be free of control characters (see {@link headerText}).
 */
export function rawHeaders(lines: readonly (readonly [name: string, value: string])[]): MsgHdrs {
  let text = 'NATS/1.0\r\n';
  for (const [name, value] of lines) text += `${name}: ${value}\r\n`;
  const bytes = utf8(`${text}\r\n`);
  return { encode: () => bytes } as unknown as MsgHdrs;
}

/** Any text as a header value: control characters become spaces, so that it cannot forge a further header. */
export function headerText(text: string, maxCharacters = 512): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 1)}…`;
}
