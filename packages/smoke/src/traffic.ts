/** What goes by, one readable line per message. */
import { decodeJson } from '@meshforge/protocol';
import type { Payload } from '@nats-io/nats-core';
import type { SeenEvent } from './event-watch.ts';
import type { Reply } from './reply.ts';

export type OnLine = (line: string) => void;

const subjectWidth = 24;
const maxBodyCharacters = 160;

export function requestLine(subject: string, body: Payload): string {
  return line('→', subject, typeof body === 'string' ? body : bodyOf(body));
}

export function replyLine(reply: Reply): string {
  const note = reply.replayed ? ' (replayed)' : '';
  return line('←', `${reply.event}${note}`, summary(reply.payload));
}

export function eventLine(event: SeenEvent): string {
  return line('•', event.subject, summary(event.payload));
}

function line(sign: string, subject: string, text: string): string {
  const flat = text.replace(/\p{Cc}+/gu, ' ');
  const clipped = flat.length <= maxBodyCharacters ? flat : `${flat.slice(0, maxBodyCharacters)}…`;
  return `${sign} ${subject.padEnd(subjectWidth)} ${clipped}`;
}

function bodyOf(bytes: Uint8Array): string {
  const body = decodeJson(bytes);
  if (!body.ok || typeof body.value !== 'object' || body.value === null) return new TextDecoder().decode(bytes);
  return summary(body.value as Record<string, unknown>);
}

/** The entity and its version up front, the rest as it is. */
function summary(payload: Readonly<Record<string, unknown>>): string {
  const { entity_id: entityId, entity_version: version, expected_version: expected, ...rest } = payload;
  const parts = [
    typeof entityId === 'string' ? entityId : JSON.stringify(entityId ?? null),
    ...(version === undefined ? [] : [`version ${JSON.stringify(version)}`]),
    ...(expected === undefined ? [] : [`expecting ${JSON.stringify(expected)}`]),
    JSON.stringify(rest),
  ];
  return parts.join(' ');
}
