import { check, type JsonObject } from '@meshforge/protocol';
import type { annotate, AnyAgent, commit, reject } from '@meshforge/runtime';
import type { Sent } from '../history.ts';
import type { Message } from './records.ts';
import { sameJson } from './same-json.ts';

/** What an agent's definition says about a command: in the runtime's order, but not with the runtime's code. */
export type Ruling =
  | {
      kind: 'commit';
      event: string;
      version: number;
      state: JsonObject | null;
      data: JsonObject | undefined;
      notes: string;
      /** Whether it changes nothing but the notes. */
      isUnchanged: boolean;
    }
  /** `reason` is missing where the runtime words it, and not the rule. */
  | { kind: 'refusal'; code: string; reason?: string; details?: JsonObject }
  | { kind: 'malformed'; reason: string };

/** How the runtime marks what `commit`, `annotate` and `reject` make. */
const RESULT = Symbol.for('@meshforge/runtime: result of a rule');

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
function dataOf(agent: AnyAgent, { action, data }: Sent): JsonObject | undefined {
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
  const made = (result as { [RESULT]?: string } | null)?.[RESULT];
  if (made === 'refusal') {
    const { code, reason, details } = result as ReturnType<typeof reject>;
    return { kind: 'refusal', code, reason, ...(details === undefined ? {} : { details }) };
  }
  const { event } = definition;
  if (made === 'annotation') {
    const { data: added, notes: left } = result as ReturnType<typeof annotate>;
    return { kind: 'commit', event, version, state, data: added, notes: left, isUnchanged: true };
  }
  const committed = (made === undefined ? { state: result } : result) as Partial<ReturnType<typeof commit<JsonObject>>>;
  const { state: after = null, data: added, notes: left = notes } = committed;
  return { kind: 'commit', event, version: version + 1, state: after, data: added, notes: left, isUnchanged: false };
}

/** When the agent decided on a commit, as far as its result names a time; in milliseconds since the epoch. */
export function decisionTime({ before, entity, entry, timeMs }: Message, sent: Sent): number {
  const { agent } = entity;
  const data = dataOf(agent.agent, sent);
  return (data && agent.decidedAt(entry, data, before?.state ?? null)) ?? timeMs;
}

/** What of a commit is not as the rules have it. */
export function differenceTo(ruled: Ruling, { entry }: Message): string | undefined {
  if (ruled.kind === 'malformed') return `is none that the agent could decide: ${ruled.reason}`;
  if (ruled.kind === 'refusal') return `is none: the rules refuse it, ${ruled.code}`;
  const { event, isUnchanged, notes, state, data } = ruled;
  if (event !== entry.event) return `is ${entry.event}, expected ${event}`;
  if (isUnchanged !== (entry.kind === 'unchanged')) return `is ${entry.kind}, expected the other kind of commit`;
  if (!sameJson(state, entry.state))
    return `has the state ${JSON.stringify(entry.state)}, expected ${JSON.stringify(state)}`;
  if (!sameJson(data, entry.data))
    return `has the data ${JSON.stringify(entry.data)}, expected ${JSON.stringify(data)}`;
  if (notes !== (entry.notes ?? '')) return `has the notes "${entry.notes ?? ''}", expected "${notes}"`;
  return undefined;
}

/** Whether a refusal by the rules says what somebody was told; how long one has to wait is different at every moment. */
export function isSaid(payload: JsonObject, ruled: Ruling): boolean {
  if (ruled.kind !== 'refusal' || ruled.code !== payload['code']) return false;
  if (ruled.reason !== undefined && ruled.reason !== payload['reason']) return false;
  return Object.entries(ruled.details ?? {}).every(
    ([key, value]) => key === 'retry_after_ms' || sameJson(payload[key], value),
  );
}
