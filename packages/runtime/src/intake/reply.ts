import { CONFLICT_STATUS, eventSubject, HEADERS, statusOfCode } from '@meshforge/protocol';
import type { StoreOutcome } from '../core/outcome.ts';
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
export function answerable(
  { reply }: Pick<Msg, 'reply'>,
  inboxPrefix: string = INBOX_PREFIX,
): 'yes' | 'no_reply' | 'forged' {
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

  /** The answer to a command. */
  answerTo(outcome: Told, headers: HeaderLines): { body: string; lines: HeaderLines } {
    const body = `{"event":"${this.subject(outcome.event)}","payload":${outcome.payload}}`;
    if (!('code' in outcome)) {
      return { body, lines: outcome.kind === 'replayed' ? [...headers, [HEADERS.replayed, 'true']] : headers };
    }
    const status = outcome.kind === 'conflict' ? CONFLICT_STATUS : statusOfCode(outcome.code);
    const isReplayed = outcome.kind === 'decided_before' || outcome.isReplayed === true;
    const lines: HeaderLines = isReplayed ? [...headers, [HEADERS.replayed, 'true']] : headers;
    return { body, lines: withError(lines, { status, reason: outcome.reason }) };
  }

  /** Answers whoever asked. @param body JSON text */
  answer(reply: string, body: string, lines: HeaderLines): void {
    if (lines.length === 0) this.#connection.publish(reply, utf8(body));
    else this.#connection.publish(reply, utf8(body), { headers: rawHeaders(lines) });
  }
}

/** An outcome that somebody is told of. */
export type Told = Exclude<StoreOutcome, { kind: 'deferred' | 'abandoned' }>;

export function withError(headers: HeaderLines, { status, reason }: ServiceErrorStatus): HeaderLines {
  return [...headers, [HEADERS.errorCode, String(status)], [HEADERS.error, headerText(reason)]];
}
