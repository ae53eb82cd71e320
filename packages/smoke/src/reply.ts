import { decode, HEADERS, readOutcome, ReplyBody, type Outcome } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import { CheckFailed } from './check.ts';
import { show } from './expect.ts';

/** The answer to a command or to a query that was refused, as it came over the wire. */
export interface Reply {
  /** The request's subject, for messages. */
  readonly subject: string;
  readonly event: string;
  readonly payload: Record<string, unknown>;
  readonly outcome: Outcome;
  readonly replayed: boolean;
  /** Undefined for a header that is not there. */
  header(name: string): string | undefined;
}

/** @throws CheckFailed for a message that PROTOCOL does not know. */
export function readReply(subject: string, message: Msg): Reply {
  const body = decode(ReplyBody, message.data);
  if (!body.ok) throw unreadable(subject, message, body.reason);
  const header = (name: string): string | undefined => headerOf(message, name);
  const replayed = header(HEADERS.replayed) === 'true';
  const outcome = readOutcome(body.value, replayed);
  if (outcome === undefined) throw unreadable(subject, message, 'the payload does not fit the event');
  return { subject, event: body.value.event, payload: body.value.payload, outcome, replayed, header };
}

export function headerOf(message: Pick<Msg, 'headers'>, name: string): string | undefined {
  return message.headers?.has(name) ? message.headers.get(name) : undefined;
}

function unreadable(subject: string, message: Msg, reason: string): CheckFailed {
  return new CheckFailed(
    `the reply to ${subject}: expected {"event", "payload"} as PROTOCOL describes it (${reason}), got ${show(message.string())}`,
  );
}
