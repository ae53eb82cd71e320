import type { JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from './agent.ts';
import { NO_FENCES, readFences, type Fences } from './fences.ts';
import { NO_COMMITS, readRecent, RECENT_BYTES, remember, type InlineOutcome, type RecentCommits } from './recent.ts';

/** A lease that stands: when it ends, and under which event's subject the server keeps the schedule of its end. */
export interface StandingLease {
  endsAt: number;
  event: string;
  /** Of the commit that set it. */
  version: number;
}

/**
 * From so long before its end on, in milliseconds, a lease is the server's: nothing is committed on its entity until the
 * log says that it has ended. The server commits an expiry without a compare-and-set and takes out whatever lease it
 * finds by then: measured, it would wipe acknowledged refreshes, and grants that came after a release.
 */
const LEASE_GUARD_MS = 250;
/** A server that is up ends what is overdue within seconds; what is overdue by so much, it must have lost. */
export const LEASE_LOST_MS = 10_000;

/**
 * Whether the expiry of a lease may be on its way.
 * @param now milliseconds since the epoch, server's clock
 * @param delayMs how long a commit may take from now on
 */
export function isEnding({ endsAt }: StandingLease, now: number, delayMs = 0): boolean {
  return now + delayMs >= endsAt - LEASE_GUARD_MS;
}

/**
 * A commit that changed nothing but the notes: `remembered` for retries as any other, or `forgotten`, where its command is
 * the agent's own and does no harm when it is decided again.
 */
export type Aside = 'remembered' | 'forgotten';

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
  recent: RecentCommits;
  /** The highest fencing token that it has seen of each resource. */
  fences: Fences;
  /** Bytes of the message it was read from or written as. */
  bytes: number;
}

export const NO_ENTITY: Entity = Object.freeze({
  sequence: 0,
  version: 0,
  state: null,
  notes: '',
  recent: NO_COMMITS,
  fences: NO_FENCES,
  bytes: 0,
});

/** The version that a command may expect: 0 = no live entity. */
export function currentVersion(entity: Entity): number {
  return entity.state === null ? 0 : entity.version;
}

/** A message of an agent's own log, decoded. */
export interface LogMessage {
  entityId: string;
  sequence: number;
  /** Last token of its subject. */
  event: string;
  body: { entity_version: number; state: JsonObject | null; data?: JsonObject };
  bytes: number;
  /** Value of `Mesh-Recent`, empty if there is none. */
  recent: string;
  /** Value of `Mesh-Fences`, empty if there is none. */
  fences: string;
  /** Value of `Mesh-Notes`, empty if there is none. */
  notes: string;
  /** Set where it changed nothing but the notes. */
  aside?: Aside;
  /** The lease that it left as it was. */
  keptLease?: StandingLease;
  /** Digest of its command's id. */
  digest: string;
  /** Milliseconds since the epoch at which its schedule is due. */
  leaseEndsAt?: number;
  /** For an expiry: the event of the lease that ended. */
  expiredEvent?: string;
}

/** What a log message says of its entity. An expiry repeats the version of the lease that ended, and ends its state. */
export function entityOf(agent: AnyAgent, message: LogMessage): Entity {
  const { sequence, body, bytes, digest, event, notes } = message;
  const version = body.entity_version;
  const earlier = readRecent(message.recent);
  const fences = readFences(message.fences);
  if (message.expiredEvent !== undefined) {
    const inline = inlineOutcome(message.expiredEvent, body);
    const leased = remember(earlier, { digest, version, sequence, inline });
    const state = body.state === null || agent.lease === undefined ? body.state : agent.lease.expire(body.state);
    return { sequence, version, state, notes, recent: leased, fences, bytes };
  }
  const leased = message.leaseEndsAt !== undefined;
  const inline = leased ? inlineOutcome(event, body) : undefined;
  return {
    sequence,
    version,
    state: body.state,
    notes,
    recent:
      message.aside === 'forgotten'
        ? earlier
        : remember(earlier, { digest, version, sequence, inline }, RECENT_BYTES - notes.length),
    fences,
    bytes,
    ...leaseOf(message),
  };
}

function leaseOf({ leaseEndsAt, keptLease, event, body }: LogMessage): { lease?: StandingLease } {
  if (leaseEndsAt !== undefined) return { lease: { endsAt: leaseEndsAt, event, version: body.entity_version } };
  return keptLease === undefined ? {} : { lease: keptLease };
}

/**
 * An entity whose newest message is an expiry. The server writes an expiry without a look at what came meanwhile, so the
 * newest commit is the truth: if it left the very lease alone that has ended, it ends now; if it had ended the lease itself,
 * the expiry only moves the sequence.
 *
 * @param newest of the highest version, and the last one of that
 */
export function afterExpiry(agent: AnyAgent, expired: Entity, newest: Entity): Entity {
  if (newest.version < expired.version) return expired;
  const { sequence } = expired;
  if (newest.lease?.version !== expired.version) return { ...newest, sequence };
  return { ...endLease(agent, newest), sequence };
}

/** An entity whose lease has ended. */
export function endLease(agent: AnyAgent, { lease: _ended, ...entity }: Entity): Entity {
  const { state } = entity;
  return { ...entity, state: state === null || agent.lease === undefined ? state : agent.lease.expire(state) };
}

/** Whether one commit of an entity came after another. */
export function isNewer(commit: Entity, other: Entity): boolean {
  return commit.version === other.version ? commit.sequence > other.sequence : commit.version > other.version;
}

export function inlineOutcome(
  event: string,
  body: { state: JsonObject | null; data?: JsonObject | undefined },
): InlineOutcome {
  return body.data === undefined ? { event, state: body.state } : { event, state: body.state, data: body.data };
}
