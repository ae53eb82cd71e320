import { eventSubject, HEADERS } from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { INBOX_PREFIX } from '../nats/connect.ts';
import { headerText, rawHeaders } from '../nats/raw-headers.ts';
import { utf8 } from '../nats/utf8.ts';

type HeaderLines = readonly (readonly [name: string, value: string])[];

/** What a refusal's reply says in the headers of NATS micro services. */
export interface ServiceErrorStatus {
  status: number;
  reason: string;
}

/** What clients make inboxes of. Anything else grows when it is decoded, and may break the agent's own protocol line. */
const INBOX = /^[!-)+-=?-~]{1,1024}$/;

/**
 * Whether a message may be answered: it asks for an answer, and to an inbox. A caller who names another subject would
 * make the agent publish there with its own rights, even into its own log.
 */
export function answerable(message: Msg, inboxPrefix: string = INBOX_PREFIX): 'yes' | 'no_reply' | 'forged' {
  const reply = message.reply;
  if (reply === undefined || reply === '') return 'no_reply';
  return reply.startsWith(inboxPrefix) && INBOX.test(reply) ? 'yes' : 'forged';
}

/** Sends answers and signals. */
export class Voice {
  readonly #connection: NatsConnection;
  readonly #agent: string;

  constructor(connection: NatsConnection, agent: string) {
    this.#connection = connection;
    this.#agent = agent;
  }

  /** `evt.<agent>.<event>` */
  subject(event: string): string {
    return eventSubject(this.#agent, event);
  }

  /** Tells everybody about a command that changed nothing. */
  signal(event: string, payload: string, headers: HeaderLines): void {
    this.#connection.publish(this.subject(event), utf8(payload), { headers: rawHeaders(headers) });
  }

  /** Answers whoever asked. @param body JSON text */
  answer(message: Msg, body: string, headers: HeaderLines, error?: ServiceErrorStatus): void {
    const lines =
      error === undefined
        ? headers
        : [
            ...headers,
            [HEADERS.errorCode, String(error.status)] as const,
            [HEADERS.error, headerText(error.reason)] as const,
          ];
    const reply = message.reply as string;
    if (lines.length === 0) this.#connection.publish(reply, utf8(body));
    else this.#connection.publish(reply, utf8(body), { headers: rawHeaders(lines) });
  }
}
