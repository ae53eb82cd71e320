import {
  commandStream,
  delayedCommandSubject,
  eventSubject,
  HEADERS,
  queuedEntityFilter,
  type JsonObject,
  type OutcomeResult,
} from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { findCommand, isComplete, type RecentCommand } from '../core/recent.ts';
import { probe } from '../nats/commit-publisher.ts';
import { digestOf } from '../nats/digest.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { logMessage } from '../nats/stored-message.ts';
import { lastMessage, nextMessage } from '../nats/stored-messages.ts';

/** Commands in the queue of one entity that are looked through for one. */
const MAX_LOOKS = 1_000;

interface Ports {
  agent: AnyAgent;
  reader: EntityReader;
  requester: RequestPort;
}

type Found = Omit<OutcomeResult, 'entity_id' | 'command_id'>;

/**
 * What became of a command, from the queue and the log. It looks for the command in the order in which it moves: among the delayed
 * ones, in the queue, in the log. So it does not slip through between two looks.
 */
export async function commandOutcome(
  ports: Ports,
  entityId: string,
  commandId: string,
): Promise<ReadResult<OutcomeResult>> {
  try {
    const isStored = await isInQueue(ports, entityId, commandId);
    const logged = await inLog(ports, entityId, commandId);
    if (logged.kind === 'unavailable') return logged;
    const found = logged.value ?? { status: isStored ? 'pending' : 'unknown' };
    return { kind: 'read', value: { entity_id: entityId, command_id: commandId, ...found } };
  } catch (error) {
    if (error instanceof NoAnswerError) return { kind: 'unavailable', why: error.message };
    throw error;
  }
}

async function isInQueue({ agent, requester }: Ports, entityId: string, commandId: string): Promise<boolean> {
  const stream = commandStream(agent.name);
  const later = delayedCommandSubject(agent.name, entityId, digestOf(commandId));
  if ((await lastMessage(requester, stream, later)) !== undefined) return true;
  const filter = queuedEntityFilter(agent.name, entityId);
  let from = 1;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const message = await nextMessage(requester, stream, filter, from);
    if (message === undefined) return false;
    if (message.headers.get(HEADERS.commandId) === commandId) return true;
    from = message.sequence + 1;
  }
  return false;
}

/** Undefined where the log does not know the command. */
async function inLog(ports: Ports, entityId: string, commandId: string): Promise<ReadResult<Found | undefined>> {
  const { agent, reader, requester } = ports;
  const entity = await reader.entity(entityId, true);
  if (entity.kind === 'unavailable') return entity;
  const { recent } = entity.value;
  const earlier = findCommand(recent, digestOf(commandId));
  if (earlier !== undefined) return await outcomeAt(ports, entityId, earlier);
  if (isComplete(recent)) return { kind: 'read', value: undefined };
  const known = await probe(requester, agent.name, commandId);
  if (known.kind === 'unknown') return { kind: 'unavailable', why: 'the stream did not say which commands it holds' };
  if (known.kind === 'not_taken') return { kind: 'read', value: undefined };
  return await outcomeAt(ports, entityId, { version: 0, sequence: known.sequence });
}

async function outcomeAt(
  { agent, reader }: Ports,
  entityId: string,
  { inline, isRefused, sequence, version }: Pick<RecentCommand, 'inline' | 'isRefused' | 'sequence' | 'version'>,
): Promise<ReadResult<Found | undefined>> {
  const committed = (event: string, state: JsonObject | null, at: number, data?: JsonObject): Found => {
    const payload = { entity_id: entityId, entity_version: at, state, ...(data === undefined ? {} : { data }) };
    return { status: 'committed', event: eventSubject(agent.name, event), payload };
  };
  if (inline !== undefined) {
    return { kind: 'read', value: committed(inline.event, inline.state, version, inline.data) };
  }
  const read = await reader.message(sequence);
  if (read.kind === 'unavailable') return read;
  if (read.value === undefined)
    return { kind: 'read', value: { status: isRefused === true ? 'refused' : 'committed' } };
  const message = logMessage(read.value);
  // The id was another entity's.
  if (message.entityId !== entityId) return { kind: 'read', value: undefined };
  const { data, event, kind, refusal, state, version: at } = message.entry;
  if (kind !== 'record') return { kind: 'read', value: committed(event, state, at, data) };
  if (refusal === undefined) return { kind: 'read', value: undefined };
  return {
    kind: 'read',
    value: { status: 'refused', event: eventSubject(agent.name, refusal.kind), payload: refusal.payload },
  };
}
