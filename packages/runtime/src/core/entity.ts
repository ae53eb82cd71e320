/**
 * An entity, and the messages of its log. {@link entityAfter} is the one place that says what a message makes of its entity:
 * for a commit on its way, for a message that was read, and for the test kit.
 */
import type { JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from './agent.ts';
import { deepFreeze } from './deep-freeze.ts';
import { NO_FENCES, type Fences } from './fences.ts';
import { NO_COMMANDS, RECENT_BYTES, remember, type RecentCommands } from './recent.ts';

/** A lease that stands: when it ends, and where the server keeps the schedule of its end. */
export interface StandingLease {
  /** Milliseconds since the epoch, by the server's clock. */
  endsAt: number;
  /** Event of the commit that set it. */
  event: string;
  /** Version of the commit that set it; its slot in the log. */
  version: number;
}

/** A server that is up ends an overdue lease within this time, in milliseconds. After it, the agent ends the lease itself. */
export const LEASE_LOST_MS = 2_000;

/** An entity as its log says; what the next command on it is decided against. */
export interface Entity {
  /** Stream sequence of its last message; 0 = it has none. */
  sequence: number;
  /** Version of its last commit; 0 = it has none. Goes on after a delete. */
  version: number;
  /** Null when there is no live entity. */
  state: JsonObject | null;
  lease?: StandingLease;
  /** What its last rule left for the next. */
  notes: string;
  recent: RecentCommands;
  /** The highest fencing token that it has seen of each resource. */
  fences: Fences;
  /** The place in the queue of the last durable command that was decided on it. */
  mark: QueuePlace;
  /** Bytes of the message it was read from or written as. */
  bytes: number;
}

/**
 * A place in a queue. A sequence alone is none: a stream that was restored or recreated uses it again, at a later time.
 */
export interface QueuePlace {
  sequence: number;
  /** When the command was stored, in milliseconds since the epoch by the server's clock. */
  storedAt: number;
}

/** Before all places. */
export const NO_PLACE: QueuePlace = Object.freeze({ sequence: 0, storedAt: 0 });

/** Whether a command at this place was decided. What is younger than the mark was not, whatever its sequence. */
export function isMarked(place: QueuePlace, mark: QueuePlace): boolean {
  return place.sequence <= mark.sequence && place.storedAt <= mark.storedAt;
}

/**
 * The mark once a command at this place is decided too. A lower sequence is that of a stream which was restored or recreated, and
 * counts from now on. A lower time is that of another leader, whose clock is behind.
 */
export function markAfter(mark: QueuePlace, place: QueuePlace): QueuePlace {
  if (isMarked(place, mark)) return mark;
  return { sequence: place.sequence, storedAt: Math.max(mark.storedAt, place.storedAt) };
}

export const NO_ENTITY: Entity = Object.freeze({
  sequence: 0,
  version: 0,
  state: null,
  notes: '',
  recent: NO_COMMANDS,
  fences: NO_FENCES,
  mark: NO_PLACE,
  bytes: 0,
});

/** The version that a command may expect: 0 = no live entity. */
export function currentVersion(entity: Entity): number {
  return entity.state === null ? 0 : entity.version;
}

/** What a durable command was refused, as its entity's log keeps it. */
export interface RecordedRefusal {
  kind: 'conflict' | 'rejected' | 'denied';
  payload: JsonObject & { reason: string };
}

/**
 * A message of an entity's log:
 * - `commit`: a new version;
 * - `unchanged`: an event that changes nothing but the notes; version, state and lease stay;
 * - `record`: a durable command was decided without a commit; version, state, lease and notes stay;
 * - `expiry`: the end of a lease. It repeats the version and the state of the commit that set the lease.
 */
export interface LogEntry {
  kind: 'commit' | 'unchanged' | 'record' | 'expiry';
  /** Last token of its subject; of an expiry the event of the lease that ended. */
  event: string;
  version: number;
  state: JsonObject | null;
  /** What the event adds to the state. */
  data?: JsonObject | undefined;
  refusal?: RecordedRefusal | undefined;
  /** The recent commands before it. */
  earlier: RecentCommands;
  /** Digests of the command that led to it. Undefined: its id is not remembered. */
  command: { digest: string; body: string } | undefined;
  /** The lease that stands after it. */
  lease?: StandingLease | undefined;
  notes: string;
  fences: Fences;
  mark: QueuePlace;
  /** Of body and headers. */
  bytes: number;
}

/** Whether a lease begins with it, or begins anew. */
export function setsLease(entry: LogEntry): entry is LogEntry & { lease: StandingLease } {
  return entry.kind === 'commit' && entry.lease !== undefined;
}

/** The entity after a message at this sequence of the stream. */
export function entityAfter(agent: Pick<AnyAgent, 'lease'>, entry: LogEntry, sequence: number): Entity {
  const { bytes, command, data, earlier, event, fences, kind, lease, mark, notes, state, version } = entry;
  let recent = earlier;
  if (command !== undefined) {
    const { body, digest } = command;
    const isRefused = kind === 'record';
    const leavesWithLease = kind === 'expiry' || setsLease(entry);
    const inline = leavesWithLease ? { event, state, ...(data === undefined ? {} : { data }) } : undefined;
    const remembered = { digest, body, version, sequence, isRefused, inline };
    recent = remember(earlier, remembered, RECENT_BYTES - notes.length);
  }
  const entity: Entity = { sequence, version, state, notes, recent, fences, mark, bytes };
  if (kind === 'expiry') return endLease(agent, entity);
  if (lease !== undefined) entity.lease = lease;
  return entity;
}

/** An entity whose lease has ended. */
export function endLease(agent: Pick<AnyAgent, 'lease'>, { lease: _ended, ...entity }: Entity): Entity {
  const { state } = entity;
  return {
    ...entity,
    state: state === null || agent.lease === undefined ? state : agent.lease.expire(deepFreeze(state)),
  };
}

/** A message of a log, at its place in the stream. */
export interface LoggedEntry {
  entry: LogEntry;
  sequence: number;
}

/**
 * An entity from the last message of each subject of its log, and expiries that the last one hides. The server writes an expiry
 * without a look at what has come meanwhile: it counts only if its version is the highest before it, else it is void.
 */
export function entityIn(agent: Pick<AnyAgent, 'lease'>, logged: readonly LoggedEntry[]): Entity {
  const sequence = Math.max(0, ...logged.map((each) => each.sequence));
  const expired = highestOf(
    logged.filter(({ entry }) => entry.kind === 'expiry'),
    ({ entry }) => entry.version,
  );
  const last = highestOf(
    logged.filter(({ entry }) => entry.kind !== 'expiry'),
    (each) => each.sequence,
  );
  if (expired !== undefined && (last === undefined || last.entry.version < expired.entry.version)) {
    return { ...entityAfter(agent, expired.entry, expired.sequence), sequence };
  }
  if (last === undefined) return NO_ENTITY;
  const entity = { ...entityAfter(agent, last.entry, last.sequence), sequence };
  // What left the lease alone can lie behind its end: a replicated stream has taken it in before it stored the expiry.
  const hasEnded = expired !== undefined && entity.lease?.version === expired.entry.version;
  return hasEnded ? endLease(agent, entity) : entity;
}

function highestOf<T>(all: readonly T[], rank: (each: T) => number): T | undefined {
  return all.reduce<T | undefined>(
    (highest, each) => (highest === undefined || rank(each) > rank(highest) ? each : highest),
    undefined,
  );
}
