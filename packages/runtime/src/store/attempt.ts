/** A message on its way into an entity's log, and what the entity will be once it is stored. */
import { LIMITS, type JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { rejected, type Command, type CommitPlan } from '../core/decide.ts';
import {
  entityAfter,
  markAfter,
  NO_PLACE,
  type Entity,
  type LogEntry,
  type QueuePlace,
  type RecordedRefusal,
} from '../core/entity.ts';
import { RECENT_BYTES, RECENT_COMMANDS, trim, type RecentCommands } from '../core/recent.ts';
import type { CommitMessage } from '../nats/commit-publisher.ts';
import { utf8 } from '../nats/utf8.ts';
import { refusal, success, type RefusedOutcome, type StoreOutcome } from '../core/outcome.ts';

export interface Attempt {
  message: CommitMessage;
  /** What the command is answered once the message is stored. */
  outcome: StoreOutcome;
  entityAt: (sequence: number) => Entity;
}

/** The server allows this many bytes of headers; the body gets the rest of its largest message. */
const HEADER_BYTES = 65_536;
/** Of a recorded refusal, as JSON. One that is longer loses its details. */
const REFUSAL_BYTES = 8_192;

/** Turns a plan into the message that carries it out, or into the refusal of one that the stream cannot hold. */
export function prepareCommit(
  agent: AnyAgent,
  entity: Entity,
  command: Command,
  plan: CommitPlan,
  maxPayload: number,
): Attempt | RefusedOutcome {
  const { entityId } = command;
  const { event, version, state, data, expiresAt, isUnchanged, notes, fences } = plan;
  const payload = JSON.stringify({ entity_id: entityId, entity_version: version, state, data });
  const body = utf8(payload);
  const tooLarge = reasonTooLarge(state, body.length, maxPayload - HEADER_BYTES);
  if (tooLarge !== undefined) return refusal('rejected', rejected(command, 'too_large', tooLarge).payload);
  // The agent's own command that changes nothing does no harm when it is decided again.
  const isRemembered = !isUnchanged || agent.actions[command.action]?.internal !== true;
  const earlier = earlierOf(entity, notes);
  const entry: LogEntry = {
    kind: isUnchanged ? 'unchanged' : 'commit',
    event,
    version,
    state,
    data,
    earlier,
    command: isRemembered ? digestsOf(command) : undefined,
    lease: isUnchanged ? entity.lease : expiresAt === undefined ? undefined : { endsAt: expiresAt, event, version },
    notes,
    fences,
    mark: markWith(entity, command),
    bytes: bytesOf(body, earlier, notes, fences),
  };
  return attemptOf(agent, entity, command, entry, body, success('committed', event, payload));
}

/** The record of a durable command's refusal: from now on it is decided, whoever sees it again. */
export function prepareRecord(agent: AnyAgent, entity: Entity, command: Command, outcome: RefusedOutcome): Attempt {
  const kind = outcome.kind as RecordedRefusal['kind'];
  const full = JSON.parse(outcome.payload) as RecordedRefusal['payload'];
  const { code, reason } = outcome;
  const payload =
    outcome.payload.length > REFUSAL_BYTES
      ? { entity_id: command.entityId, action: command.action, code, reason }
      : full;
  const told = { kind, payload };
  const body = recordBody(command.entityId, entity, told);
  const entry = recordEntry(entity, body, { command: digestsOf(command), mark: markWith(entity, command) });
  return attemptOf(agent, entity, command, { ...entry, refusal: told }, body, outcome);
}

/** A record without a command: it moves the mark, so that what is in the queue up to there is never decided again. */
export function prepareMark(entityId: string, entity: Entity, place: QueuePlace): CommitMessage {
  const body = recordBody(entityId, entity, undefined);
  return {
    entityId,
    entry: recordEntry(entity, body, { command: undefined, mark: markAfter(entity.mark, place) }),
    body,
    expectedSequence: entity.sequence,
    messageId: `mark.${place.sequence}.${place.storedAt}`,
    headers: [],
    standing: entity.lease,
  };
}

/** A record that leaves everything as it stands. */
function recordEntry(
  entity: Entity,
  body: Uint8Array,
  { command, mark }: Pick<LogEntry, 'command' | 'mark'>,
): LogEntry {
  const { fences, lease, notes, state, version } = entity;
  const earlier = earlierOf(entity, notes);
  const bytes = bytesOf(body, earlier, notes, fences);
  return { kind: 'record', event: '', version, state, earlier, command, lease, notes, fences, mark, bytes };
}

function recordBody(entityId: string, { state, version }: Entity, told: RecordedRefusal | undefined): Uint8Array {
  return utf8(JSON.stringify({ entity_id: entityId, entity_version: version, state, refusal: told }));
}

function attemptOf(
  agent: AnyAgent,
  { lease, sequence: expectedSequence }: Entity,
  { commandId, entityId, headers }: Command,
  entry: LogEntry,
  body: Uint8Array,
  outcome: StoreOutcome,
): Attempt {
  return {
    message: { entityId, entry, body, expectedSequence, messageId: commandId, headers, standing: lease },
    outcome,
    entityAt: (sequence) => entityAfter(agent, entry, sequence),
  };
}

function bytesOf(body: Uint8Array, earlier: RecentCommands, notes: string, fences: string): number {
  return body.length + earlier.bytes + notes.length + fences.length;
}

/** The headers of one message have a bound together. */
function earlierOf({ recent }: Entity, notes: string): RecentCommands {
  return trim(recent, RECENT_COMMANDS, RECENT_BYTES - notes.length);
}

function digestsOf({ bodyDigest, digest }: Command): { digest: string; body: string } {
  return { digest, body: bodyDigest };
}

function markWith({ mark }: Entity, { queued = NO_PLACE }: Command): QueuePlace {
  return markAfter(mark, queued);
}

function reasonTooLarge(state: JsonObject | null, bodyBytes: number, room: number): string | undefined {
  if (bodyBytes > LIMITS.stateBytes) {
    const stateBytes = Buffer.byteLength(JSON.stringify(state));
    if (stateBytes > LIMITS.stateBytes) {
      return `the state would have ${stateBytes} bytes: expected at most ${LIMITS.stateBytes}`;
    }
  }
  return bodyBytes > room ? `the event would have ${bodyBytes} bytes: the server takes at most ${room}` : undefined;
}
