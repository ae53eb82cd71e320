import { eventWildcard, HEADERS, parseSubject, SIGNAL_EVENTS, type JsonObject } from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import type { Heard } from './history.ts';
import { AGENTS } from './mesh/tested-mesh.ts';
import type { LogMessage } from './witness/read-message.ts';

export interface EventOptions {
  readonly now: () => number;
  readonly onHeard: (heard: Heard) => void;
  /** The commit that an event tells of, as the server copied it. */
  readonly onCopy: (message: LogMessage) => void;
}

/** A plain subscriber to all events, straight at a server. */
export function listenToEvents(connection: NatsConnection, options: EventOptions): void {
  for (const { name } of AGENTS) {
    connection.subscribe(eventWildcard(name), {
      callback: (error, message) => {
        if (error === null) hear(message, options);
      },
    });
  }
}

function hear(message: Msg, { now, onHeard, onCopy }: EventOptions): void {
  const parsed = parseSubject(message.subject);
  if (parsed?.kind !== 'event') throw new Error(`${message.subject} is no event`);
  const { headers, subject: event, data } = message;
  const sequence = Number(headers?.get('Nats-Sequence') ?? '');
  const isSignal = (SIGNAL_EVENTS as readonly string[]).includes(parsed.event);
  onHeard({
    type: 'heard',
    atMs: now(),
    agent: parsed.agent,
    event,
    commandId: headers?.get(HEADERS.commandId) ?? '',
    payload: message.json<JsonObject>(),
    ...(sequence > 0 ? { sequence } : {}),
  });
  if (isSignal || headers === undefined || sequence === 0) return;
  onCopy({ subject: headers.get('Nats-Subject'), sequence, time: headers.get('Nats-Time-Stamp'), headers, data });
}
