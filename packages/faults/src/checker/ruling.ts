import { check, type JsonObject } from '@meshforge/protocol';
import { commit, reject, type AnyAgent } from '@meshforge/runtime';
import type { Sent } from '../history.ts';

/** What an agent's definition says about a command: in the runtime's order, but not with the runtime's code. */
export type Ruling =
  | { kind: 'commit'; event: string; state: JsonObject | null; data: JsonObject | undefined }
  /** `reason` is missing where the runtime words it, and not the rule. */
  | { kind: 'refusal'; code: string; reason?: string; details?: JsonObject }
  | { kind: 'malformed'; reason: string };

/** The runtime offers the makers of these classes, and not the classes. */
const Commit = commit(null).constructor;
const Refusal = reject('', '').constructor;

type Rule = (state: JsonObject | null, data: JsonObject, context: object) => unknown;

/** The data of a command with the defaults of its schema; undefined if it is malformed. */
export function dataOf(agent: AnyAgent, { action, data }: Sent): JsonObject | undefined {
  const definition = Object.hasOwn(agent.actions, action) ? agent.actions[action] : undefined;
  if (definition === undefined) return undefined;
  const checked = check(definition.data, data, 'data');
  return checked.ok ? (checked.value as JsonObject) : undefined;
}

/**
 * @param state null where no entity lives
 * @param version of the last commit; 0 = there was none
 * @param now milliseconds since the epoch
 */
export function ruling(agent: AnyAgent, state: JsonObject | null, version: number, sent: Sent, now: number): Ruling {
  const { action, commandId, entityId } = sent;
  const data = dataOf(agent, sent);
  const definition = agent.actions[action];
  if (data === undefined || definition === undefined)
    return { kind: 'malformed', reason: `no ${action} has such data` };
  if (definition.entity === 'present' && state === null) return { kind: 'refusal', code: 'not_found' };
  if (definition.entity === 'absent' && state !== null) return { kind: 'refusal', code: 'already_exists' };
  const context = { entityId, action, commandId, now, nextVersion: version + 1 };
  const result = (definition.rule as Rule)(state, data, context);
  if (result instanceof Refusal) {
    const { code, reason, details } = result as ReturnType<typeof reject>;
    return { kind: 'refusal', code, reason, ...(details === undefined ? {} : { details }) };
  }
  const made = result instanceof Commit ? (result as ReturnType<typeof commit<JsonObject>>) : undefined;
  return {
    kind: 'commit',
    event: definition.event,
    state: made === undefined ? (result as JsonObject | null) : made.state,
    data: made?.data,
  };
}
