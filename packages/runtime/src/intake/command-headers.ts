import {
  HEADERS,
  ID_HEADER_VALUE,
  ID_HEADERS,
  Timestamp,
  TRACE_HEADER_VALUE,
  TRACE_HEADERS,
  type Issue,
} from '@meshforge/protocol';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { nuid } from '@nats-io/nats-core';
import type { CommandHeaders } from '../core/decide.ts';

/** The headers of a command, checked: only these travel on, never a caller's `Nats-*`. */
export interface ReadHeaders {
  commandId: string;
  lines: CommandHeaders;
  /** Milliseconds since the epoch after which it is not decided any more. */
  notAfter?: number | undefined;
  /** What was wrong with them; empty if nothing. */
  issues: Issue[];
}

/** A message's headers. The client throws at names and values that no header can have; whoever sends those gets here. */
export function headersOf(message: Pick<Msg, 'headers'>): MsgHdrs | undefined | 'unreadable' {
  try {
    return message.headers;
  } catch {
    return 'unreadable';
  }
}

export function readCommandHeaders(found: MsgHdrs | undefined | 'unreadable'): ReadHeaders {
  const headers = found === 'unreadable' ? undefined : found;
  const issues: Issue[] = [];
  if (found === 'unreadable') {
    issues.push({
      path: 'block',
      message: 'expected names of printable ASCII characters, and values without line breaks',
    });
  }
  const lines: [string, string][] = [];
  let commandId = '';
  for (const name of ID_HEADERS) {
    const value = headers?.get(name) ?? '';
    if (value === '' && headers?.has(name) !== true) continue;
    if (!ID_HEADER_VALUE.test(value)) {
      issues.push({ path: name, message: 'expected 1 to 128 characters, none of them a control character' });
      continue;
    }
    lines.push([name, value]);
    if (name === HEADERS.commandId) commandId = value;
  }
  if (commandId === '') {
    commandId = nuid.next();
    lines.push([HEADERS.commandId, commandId]);
  }
  const notAfter = headers?.get(HEADERS.notAfter) ?? '';
  const deadline = Timestamp.safeParse(notAfter);
  if (notAfter !== '' && !deadline.success) {
    issues.push({ path: HEADERS.notAfter, message: 'expected a time such as 2026-01-31T12:00:00.000Z' });
  }
  for (const name of TRACE_HEADERS) {
    const value = headers?.get(name) ?? '';
    if (TRACE_HEADER_VALUE.test(value)) lines.push([name, value]);
  }
  return { commandId, lines, issues, notAfter: deadline.success ? Date.parse(notAfter) : undefined };
}
