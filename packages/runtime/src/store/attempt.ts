/** A message on its way into an entity's log, and what the entity will be once it is stored. */
import { LIMITS, printable, type JsonObject } from '@meshforge/protocol';
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
  type StandingLease,
} from '../core/entity.ts';
import { refusal, success, type RefusedOutcome, type StoreOutcome } from '../core/outcome.ts';
import { RECENT_BYTES, RECENT_COMMANDS, trim } from '../core/recent.ts';
import type { CommitMessage } from '../nats/commit-publisher.ts';
import { utf8 } from '../nats/utf8.ts';

export interface Attempt {
  message: CommitMessage;
  /** What the command is answered once the message is stored. */
  outcome: StoreOutcome;
  entityAt: (sequence: number) => Entity;
}

/** The server allows this many bytes of headers. */
const HEADER_BYTES = 65_536;
/** Of a recorded refusal, as JSON. One that is longer loses its details. */
const REFUSAL_BYTES = 8_192;
/** What a commit leaves free of the server's largest message: the state has to fit into later records too. */
const RESERVED_BYTES = HEADER_BYTES + REFUSAL_BYTES;

/** Turns a plan into the message that carries it out, or into the refusal of one that the stream cannot hold. */
export function prepareCommit(
  agent: AnyAgent,
  entity: Entity,
  command: Command,
  plan: CommitPlan,
  maxPayload: number,
): Attempt | RefusedOutcome {
  const { event, version, expiresAt, isUnchanged, notes, fences } = plan;
  const payload = JSON.stringify({
    entity_id: command.entityId,
    entity_version: version,
    state: plan.state,
    data: plan.data,
  });
  const body = utf8(payload);
  const tooLarge = reasonTooLarge(plan.state, body.length, maxPayload - RESERVED_BYTES);
  if (tooLarge !== undefined) return refusal('rejected', rejected(command, 'too_large', tooLarge).payload);
  // The cache gets what the log will hold. The rule may go on changing the object that it returned.
  const { data, state } = JSON.parse(payload) as Pick<LogEntry, 'data' | 'state'>;
  const own = expiresAt === undefined ? undefined : { endsAt: expiresAt, event, version };
  // The agent's own command that changes nothing does no harm when it is decided again.
  const isRemembered = !isUnchanged || agent.actions[command.action]?.internal !== true;
  const entry: NewEntry = {
    kind: isUnchanged ? 'unchanged' : 'commit',
    event,
    version,
    state,
    data,
    command: isRemembered ? digestsOf(command) : undefined,
    lease: isUnchanged ? entity.lease : own,
    notes,
    fences,
    mark: markWith(entity, command),
  };
  return attemptOf(agent, entity, command, { entry, body, outcome: success('committed', event, payload) });
}

/** The record of a durable command's refusal: from now on it is decided, whoever sees it again. */
export function prepareRecord(agent: AnyAgent, entity: Entity, command: Command, outcome: RefusedOutcome): Attempt {
  const kind = outcome.kind as RecordedRefusal['kind'];
  const recorded: RecordedRefusal = { kind, payload: recordedPayload(command, outcome) };
  return attemptOf(agent, entity, command, {
    entry: { ...standing(entity), refusal: recorded, command: digestsOf(command), mark: markWith(entity, command) },
    body: recordBody(command.entityId, entity, recorded),
    // What is told is what the log will hold.
    outcome: refusal(kind, recorded.payload),
  });
}

/** A record without a command: it moves the mark, so that no command of the queue up to there is decided any more. */
export function prepareMark(entityId: string, entity: Entity, place: QueuePlace): CommitMessage {
  return messageOf(entityId, entity, {
    entry: { ...standing(entity), command: undefined, mark: markAfter(entity.mark, place) },
    body: recordBody(entityId, entity),
  });
}

/** The end of the lease that stands, from what the entity is. */
export function prepareExpiry(entityId: string, entity: Entity & { lease: StandingLease }): CommitMessage {
  const { lease, mark } = entity;
  const entry: NewEntry = { ...standing(entity), kind: 'expiry', event: lease.event, command: undefined, mark };
  return messageOf(entityId, entity, { entry: { ...entry, lease: undefined }, body: recordBody(entityId, entity) });
}

type NewEntry = Omit<LogEntry, 'bytes' | 'earlier'>;

/** A record that leaves everything as it stands. */
function standing({ fences, lease, notes, state, version }: Entity): Omit<NewEntry, 'command' | 'mark'> {
  return { kind: 'record', event: '', version, state, lease, notes, fences };
}

function recordBody(entityId: string, { state, version }: Entity, recorded?: RecordedRefusal): Uint8Array {
  return utf8(JSON.stringify({ entity_id: entityId, entity_version: version, state, refusal: recorded }));
}

function recordedPayload({ action, entityId }: Command, outcome: RefusedOutcome): RecordedRefusal['payload'] {
  if (Buffer.byteLength(outcome.payload) <= REFUSAL_BYTES) {
    return JSON.parse(outcome.payload) as RecordedRefusal['payload'];
  }
  const code = printable(outcome.code, LIMITS.nameCharacters);
  return { entity_id: entityId, action, code, reason: printable(outcome.reason, LIMITS.reasonCharacters) };
}

function attemptOf(
  agent: AnyAgent,
  entity: Entity,
  { commandId, entityId, headers }: Command,
  { body, entry, outcome }: { entry: NewEntry; body: Uint8Array; outcome: StoreOutcome },
): Attempt {
  const message = { ...messageOf(entityId, entity, { entry, body }), commandId, headers };
  return { message, outcome, entityAt: (sequence) => entityAfter(agent, message.entry, sequence) };
}

function messageOf(
  entityId: string,
  entity: Entity,
  { body, entry }: { entry: NewEntry; body: Uint8Array },
): CommitMessage {
  // The headers of one message have a bound together.
  const earlier = trim(entity.recent, RECENT_COMMANDS, RECENT_BYTES - entry.notes.length);
  const bytes = body.length + earlier.bytes + entry.notes.length + entry.fences.length;
  return {
    entityId,
    entry: { ...entry, earlier, bytes },
    body,
    expectedSequence: entity.sequence,
    headers: [],
    standing: entity.lease,
  };
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
