import {
  HEADERS,
  ID_HEADER_VALUE,
  ID_HEADERS,
  TRACE_HEADER_VALUE,
  TRACE_HEADERS,
  type Issue,
} from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import { nuid } from '@nats-io/nats-core';
import type { CommandHeaders } from '../core/decide.ts';

/** The headers of a command, checked: only these travel on, never a caller's `Nats-*`. */
export interface ReadHeaders {
  commandId: string;
  lines: CommandHeaders;
  /** What was wrong with them; empty if nothing. */
  issues: Issue[];
}

export function readCommandHeaders(headers: MsgHdrs | undefined): ReadHeaders {
  const issues: Issue[] = [];
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
  for (const name of TRACE_HEADERS) {
    const value = headers?.get(name) ?? '';
    if (TRACE_HEADER_VALUE.test(value)) lines.push([name, value]);
  }
  return { commandId, lines, issues };
}
