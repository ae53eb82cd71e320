import { HEADERS, parseSubject, type JsonObject } from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import type { Logged } from '../history.ts';

/** A message of an agent's log, by whatever way it was read. */
export interface LogMessage {
  /** Where it is stored: that of the commit, not of the event. */
  readonly subject: string;
  readonly sequence: number;
  /** RFC 3339. */
  readonly time: string;
  readonly headers: MsgHdrs;
  readonly data: Uint8Array;
}

interface Body extends Pick<Logged, 'data' | 'refusal'> {
  readonly entity_version: number;
  readonly state: JsonObject | null;
}

const decoder = new TextDecoder();

/** @throws Error for a message that no agent writes: nothing else may be in a log */
export function readMessage({ subject, sequence, time, headers, data: bytes }: LogMessage): Logged {
  const place = parseSubject(subject);
  if (place?.kind !== 'entity' && place?.kind !== 'record') throw new Error(`${subject} at ${sequence} is no commit`);
  const { data, entity_version: version, refusal, state } = JSON.parse(decoder.decode(bytes)) as Body;
  const also = (key: keyof Logged, name: string): Partial<Logged> =>
    headers.has(name) ? { [key]: headers.get(name) } : {};
  const mark = headers.get(HEADERS.mark);
  return {
    type: 'logged',
    agent: place.agent,
    sequence,
    time,
    entityId: place.entityId,
    kind: kindOf(place, headers),
    event: place.kind === 'record' ? 'refused' : place.event,
    version,
    state,
    ...(data === undefined ? {} : { data }),
    ...(refusal === undefined ? {} : { refusal }),
    commandId: headers.get(HEADERS.commandId),
    ...also('causedBy', HEADERS.causationId),
    ...also('keeps', HEADERS.lease),
    ...also('notes', HEADERS.notes),
    ...also('fences', HEADERS.fences),
    ...(mark === '' ? {} : { mark: parseInt(mark, 36) }),
  };
}

function kindOf(place: NonNullable<ReturnType<typeof parseSubject>>, headers: MsgHdrs): Logged['kind'] {
  if (place.kind === 'record') return 'record';
  if (place.kind === 'entity' && place.slot === 'x') return 'expiry';
  return headers.has(HEADERS.unchanged) ? 'unchanged' : 'commit';
}
