import { check, type JsonObject } from '@meshforge/protocol';
import { annotate, commit, reject, type AnyAgent } from '@meshforge/runtime';
import type { Sent } from '../history.ts';
import type { Command, Message } from './records.ts';

/** What an agent's definition says about a command: in the runtime's order, but not with the runtime's code. */
export type Ruling =
  | {
      kind: 'commit';
      event: string;
      version: number;
      state: JsonObject | null;
      data: JsonObject | undefined;
      notes: string;
      /** Set where it changes nothing but the notes. */
      aside: string | undefined;
    }
  /** `reason` is missing where the runtime words it, and not the rule. */
  | { kind: 'refusal'; code: string; reason?: string; details?: JsonObject }
  | { kind: 'malformed'; reason: string };

/** The runtime offers the makers of these classes, and not the classes. */
const Commit = commit(null).constructor;
const Annotation = annotate('').constructor;
const Refusal = reject('', '').constructor;

/** What a rule decides on. */
export interface Ruled {
  /** Null where no entity lives. */
  readonly state: JsonObject | null;
  /** Of the last commit; 0 = there was none. */
  readonly version: number;
  readonly notes: string;
}

export const NOTHING: Ruled = { state: null, version: 0, notes: '' };

type Rule = (state: JsonObject | null, data: JsonObject, context: object) => unknown;

/** The data of a command with the defaults of its schema; undefined if it is malformed. */
export function dataOf(agent: AnyAgent, { action, data }: Sent): JsonObject | undefined {
  const definition = Object.hasOwn(agent.actions, action) ? agent.actions[action] : undefined;
  if (definition === undefined) return undefined;
  const checked = check(definition.data, data, 'data');
  return checked.ok ? (checked.value as JsonObject) : undefined;
}

/** @param now milliseconds since the epoch */
export function ruling(agent: AnyAgent, { notes, state, version }: Ruled, sent: Sent, now: number): Ruling {
  const { action, commandId, entityId } = sent;
  const data = dataOf(agent, sent);
  const definition = agent.actions[action];
  if (data === undefined || definition === undefined)
    return { kind: 'malformed', reason: `no ${action} has such data` };
  if (definition.entity === 'present' && state === null) return { kind: 'refusal', code: 'not_found' };
  if (definition.entity === 'absent' && state !== null) return { kind: 'refusal', code: 'already_exists' };
  const context = { entityId, action, commandId, now, nextVersion: version + 1, notes };
  const result = (definition.rule as Rule)(state, data, context);
  if (result instanceof Refusal) {
    const { code, reason, details } = result as ReturnType<typeof reject>;
    return { kind: 'refusal', code, reason, ...(details === undefined ? {} : { details }) };
  }
  const { event, internal } = definition;
  if (result instanceof Annotation) {
    const { data: added, notes: left } = result as ReturnType<typeof annotate>;
    const aside = internal === true ? 'forgotten' : 'remembered';
    return { kind: 'commit', event, version, state, data: added, notes: left, aside };
  }
  const made =
    result instanceof Commit
      ? (result as ReturnType<typeof commit<JsonObject>>)
      : { state: result as JsonObject | null, data: undefined, notes: undefined };
  const { data: added, notes: left = notes } = made;
  return { kind: 'commit', event, version: version + 1, state: made.state, data: added, notes: left, aside: undefined };
}

/**
 * Whether a command is refused, for its expectation or by the rules.
 * @param at the message that made the state; undefined: before the first
 */
export function isRefusedAt({ entity, sent }: Command, at: Message | undefined): boolean {
  const { state, version } = at ?? NOTHING;
  const current = state === null ? 0 : version;
  if (sent.expectedVersion !== undefined && sent.expectedVersion !== current) return true;
  return ruling(entity.agent.agent, at ?? NOTHING, sent, at?.timeMs ?? 0).kind !== 'commit';
}
