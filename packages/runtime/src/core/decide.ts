/**
 * The decision: agent, entity and command in, a plan out. Pure, so that it can be made again whenever the
 * compare-and-set shows that somebody else was first.
 *
 * Order of precedence (a malformed message never gets here): already decided → replay, or misused if the id was another
 * command's; a durable command at or below the entity's mark → forgotten; too late → rejected; a lease that is over, or not the one that the action
 * requires → rejected; another version than expected → conflict; absent or present against the action → rejected; the action's
 * rule → rejected or denied; else commit. The lease comes before the version: whoever has lost it must not be told to read and
 * try again.
 */
import {
  agentToken,
  check,
  LIMITS,
  type ConflictPayload,
  type JsonObject,
  type RejectedPayload,
} from '@meshforge/protocol';
import {
  classifyResult,
  type Action,
  type Annotation,
  type AnyAgent,
  type ClassifiedResult,
  type Refusal,
} from './agent.ts';
import { deepFreeze } from './deep-freeze.ts';
import { currentVersion, isMarked, type Entity, type QueuePlace } from './entity.ts';
import type { Fences } from './fences.ts';
import { checkLease, type CommandLease } from './lease-check.ts';
import { quoted } from './quoted.ts';
import { findCommand, type RecentCommand } from './recent.ts';

/** Mesh and trace headers, checked: what travels from a command to its event and its reply. */
export type CommandHeaders = readonly (readonly [name: string, value: string])[];

/** A command whose envelope and data have passed their schemas. */
export interface Command {
  entityId: string;
  action: string;
  expectedVersion: number | undefined;
  /** The lease under which it is sent. */
  lease?: CommandLease | undefined;
  data: JsonObject;
  commandId: string;
  /** Short digest of the id. */
  digest: string;
  /** Digest of what it says, to recognise an id that was another command's; empty: unknown. */
  bodyDigest: string;
  headers: CommandHeaders;
  /** Milliseconds since the epoch, by the server's clock, after which it is not decided any more. */
  notAfter?: number | undefined;
  /** Of a durable command: its place in the queue. Commands of one entity are decided in this order. */
  queued?: QueuePlace | undefined;
}

export type Plan =
  | { kind: 'replay'; earlier: RecentCommand }
  /** Its id was another command's. */
  | { kind: 'misused'; payload: RejectedPayload }
  /** A durable command that was decided so long ago that the entity no longer remembers how. */
  | { kind: 'forgotten' }
  | { kind: 'conflict'; payload: ConflictPayload }
  | { kind: 'rejected'; payload: RejectedPayload }
  | { kind: 'denied'; payload: JsonObject }
  | CommitPlan
  | DefectPlan;

/** The rule is defective: it threw, or made something that cannot be committed. */
export interface DefectPlan {
  kind: 'defect';
  payload: RejectedPayload;
  cause: unknown;
}

export interface CommitPlan {
  kind: 'commit';
  event: string;
  version: number;
  state: JsonObject | null;
  data: JsonObject | undefined;
  /** Milliseconds since the epoch at which the server shall end the lease. */
  expiresAt: number | undefined;
  /** What the entity remembers of fencing tokens. */
  fences: Fences;
  /** Nothing but the notes changes: version, state and lease stay. */
  isUnchanged: boolean;
  notes: string;
}

export function decide(agent: AnyAgent, entity: Entity, command: Command, now: number): Plan {
  const earlier = findCommand(entity.recent, command.digest);
  if (earlier !== undefined) {
    return isOther(earlier.body, command) ? misused(command, OTHER_COMMAND) : { kind: 'replay', earlier };
  }
  if (command.queued !== undefined && isMarked(command.queued, entity.mark)) return { kind: 'forgotten' };
  if (command.notAfter !== undefined && now > command.notAfter) return expired(command, command.notAfter, now);

  const action = agent.actions[command.action];
  if (action === undefined) throw new TypeError(`agent ${agent.name} has no action ${command.action}`);
  // Decisions are made again, and a later command meets the same entity: no rule may change what it is given.
  deepFreeze(command.data);
  deepFreeze(entity.state);
  const lease = checkLease(action, entity.fences, command);
  if (lease.kind === 'refused') return rejected(command, lease.code, lease.reason);
  if (lease.kind === 'defective') return defect(command, lease.what, lease.cause);

  const current = currentVersion(entity);
  if (command.expectedVersion !== undefined && command.expectedVersion !== current) {
    return conflict(command, command.expectedVersion, current);
  }

  if (action.entity === 'present' && entity.state === null) {
    return rejected(command, 'not_found', `${agentToken(agent.name)} has no entity ${quoted(command.entityId)}`);
  }
  if (action.entity === 'absent' && entity.state !== null) {
    const reason = `entity ${quoted(command.entityId)} exists at version ${current}`;
    return rejected(command, 'already_exists', reason);
  }

  const version = entity.version + 1;
  const context = { ...commandContext(command), now, nextVersion: version, notes: entity.notes };
  let result: ClassifiedResult<JsonObject>;
  try {
    // The definition's types tie state and data to the action; here they are known only by their schemas.
    const rule = action.rule as (...given: unknown[]) => JsonObject;
    result = classifyResult(rule(entity.state, command.data, context));
  } catch (cause) {
    return defect(command, 'threw', cause);
  }
  if (result.kind === 'refusal') return refused(agent, command, result.result);
  if (result.kind === 'annotation') return annotated(action, entity, command, result.result, lease.fences);
  const { state, data, expiresAt, notes = entity.notes } = result.result;
  if (state !== null) {
    const valid = check(agent.state, state);
    if (!valid.ok) return defect(command, `made an invalid state: ${valid.reason}`, undefined);
  }
  if (expiresAt !== undefined && agent.lease === undefined) {
    return defect(command, 'set expiresAt, but the agent defines no lease', undefined);
  }
  if (expiresAt !== undefined && Number.isNaN(new Date(expiresAt).getTime())) {
    return defect(command, `set expiresAt to ${expiresAt}, which is no time`, undefined);
  }
  const { fences } = lease;
  if (!NOTES.test(notes)) return defect(command, ODD_NOTES, undefined);
  return { kind: 'commit', event: action.event, version, state, data, expiresAt, isUnchanged: false, notes, fences };
}

function annotated(
  { event }: Pick<Action<never, never>, 'event'>,
  { state, version }: Entity,
  command: Command,
  { data, notes }: Annotation,
  fences: Fences,
): Plan {
  if (state === null) return defect(command, 'left notes to an entity that is not there', undefined);
  if (!NOTES.test(notes)) return defect(command, ODD_NOTES, undefined);
  return { kind: 'commit', event, version, state, data, expiresAt: undefined, isUnchanged: true, notes, fences };
}

const ODD_NOTES = `left notes that are not printable ASCII of at most ${LIMITS.noteBytes} bytes`;
/** One header line; NATS trims white space at its ends. */
const NOTES = new RegExp(`^(?:[!-~][ -~]{0,${LIMITS.noteBytes - 1}})?$`);

function commandContext({ entityId, action, commandId }: Command): {
  entityId: string;
  action: string;
  commandId: string;
} {
  return { entityId, action, commandId };
}

function conflict(command: Command, expected: number, current: number): Plan {
  const found = current === 0 ? 'there is no live entity' : `the entity is at version ${current}`;
  const wanted = expected === 0 ? 'no live entity' : `version ${expected}`;
  return {
    kind: 'conflict',
    payload: {
      entity_id: command.entityId,
      expected_version: expected,
      current_version: current,
      reason: `expected ${wanted}, but ${found}`,
      action: command.action,
    },
  };
}

export function rejected(
  command: { entityId: string; action: string },
  code: string,
  reason: string,
): {
  kind: 'rejected';
  payload: RejectedPayload;
} {
  return { kind: 'rejected', payload: { entity_id: command.entityId, action: command.action, code, reason } };
}

function expired(command: Command, notAfter: number, now: number): Plan {
  const late = `it was not to be decided after ${iso(notAfter)}, and it is ${iso(now)}`;
  return rejected(command, 'expired', `${late} by the server's clock: send it anew if it still matters`);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Whether the command that had the id before said something else. @param known digest of what it said; empty: unknown */
export function isOther(known: string, { bodyDigest }: Pick<Command, 'bodyDigest'>): boolean {
  return known !== '' && bodyDigest !== '' && known !== bodyDigest;
}

export const OTHER_COMMAND = 'for another command on this entity';

/** @param how its id was used before */
export function misused(command: Command, how: string): Extract<Plan, { kind: 'misused' }> {
  const reason = `command id ${command.commandId} was used before, ${how}: give each command its own`;
  return { kind: 'misused', payload: rejected(command, 'invalid_command', reason).payload };
}

function refused(agent: AnyAgent, command: Command, refusal: Refusal): Plan {
  const { code, reason, details } = refusal;
  if (agent.denied === undefined) return rejected(command, code, reason);
  return { kind: 'denied', payload: { entity_id: command.entityId, ...details, code, reason } };
}

export function defect(command: Command, what: string, cause: unknown): DefectPlan {
  const reason = `the rule of action ${command.action} is defective: it ${what}`;
  return { kind: 'defect', payload: rejected(command, 'unavailable', reason).payload, cause };
}
