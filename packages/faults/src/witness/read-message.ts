import { agentToken, HEADERS, parseSubject, type AgentContract, type JsonObject } from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import { CONTRACTS } from '../clients/command.ts';
import type { Logged } from '../history.ts';

/** A message of an agent's log, by whatever way it was read. */
export interface LogMessage {
  /** Where it is stored: that of the commit, not of the event. */
  readonly subject: string;
  readonly sequence: number;
  /** RFC 3339. */
  readonly time: string;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
}

interface Body {
  readonly entity_version: number;
  readonly state: JsonObject | null;
  readonly data?: JsonObject;
}

const decoder = new TextDecoder();

/** @throws Error for a message that is no commit: nothing else may be in a log */
export function readMessage({ subject, sequence, time, headers, data }: LogMessage): Logged {
  const parsed = parseSubject(subject);
  if (parsed?.kind !== 'entity') throw new Error(`${subject} at ${sequence} is no commit`);
  const body = JSON.parse(decoder.decode(data)) as Body;
  const has = (name: string): boolean => headers?.has(name) === true;
  const also = (key: keyof Logged, name: string): Partial<Logged> => (has(name) ? { [key]: headers?.get(name) } : {});
  const { agent, event } = parsed;
  const expiry: string | undefined = Object.values<AgentContract>(CONTRACTS).find(
    ({ name }) => agentToken(name) === agent,
  )?.expiryEvent;
  // What an agent publishes has a message id; a commit that ends a lease names the schedule as well.
  const byServer = has('Nats-Scheduler') && !has('Nats-Msg-Id');
  const overdue = !byServer && event === expiry;
  return {
    type: 'logged',
    agent,
    sequence,
    time,
    entityId: parsed.entityId,
    event,
    version: body.entity_version,
    state: body.state,
    ...(body.data === undefined ? {} : { data: body.data }),
    commandId: headers?.get(HEADERS.commandId) ?? '',
    ...also('causedBy', HEADERS.causationId),
    byServer: byServer || overdue,
    ...(overdue ? { overdue } : {}),
    ...also('aside', HEADERS.aside),
    ...also('keeps', HEADERS.lease),
    ...also('notes', HEADERS.notes),
    ...also('fences', HEADERS.fences),
  };
}
