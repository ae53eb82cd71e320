/**
 * Every subject and stream name of MeshForge is built and parsed here, and nowhere else.
 *
 * Agent, action and event names are single lower-case tokens; entity ids are percent-encoded (see `token.ts`), so
 * nothing a caller sends can add a token, a wildcard or white space to a subject.
 */
import { LIMITS } from './limits.ts';
import { printable } from './text.ts';
import { decodeToken, encodeToken } from './token.ts';

const NAME = new RegExp(`^[a-z][a-z0-9_]{0,${LIMITS.nameCharacters - 1}}$`);

/** Agents whose subjects use another token than their name. */
const TOKEN_OF_AGENT: Readonly<Record<string, string>> = { sys_lock_manager: 'lock' };

export const QUERY_KINDS = ['get', 'history', 'list', 'outcome'] as const;
export type QueryKind = (typeof QUERY_KINDS)[number];

/** Events that every agent may emit about commands that changed nothing; no action may use these names. */
export const SIGNAL_EVENTS = ['conflict', 'rejected', 'denied'] as const;

/** The stream that keeps the signals of all agents as an audit trail. */
export const SIGNALS_STREAM = 'SIGNALS';
export const SIGNALS_SUBJECTS: readonly string[] = SIGNAL_EVENTS.map((event) => `evt.*.${event}`);

/** Makes the server emit `evt.<agent>.<event>` for each commit. */
export const REPUBLISH = { src: 'ent.*.*.*.*', dest: 'evt.{{wildcard(1)}}.{{wildcard(4)}}' } as const;

/** Whether a text may name an agent, an action or an event: `^[a-z][a-z0-9_]{0,63}$`. */
export function isName(text: string): boolean {
  // Callers in JavaScript have no compiler, and `undefined` spells a name.
  return typeof text === 'string' && NAME.test(text);
}

/** @throws RangeError naming the text, what it is for and what is allowed. */
export function assertName(kind: 'agent' | 'action' | 'event', text: string): void {
  if (!isName(text)) {
    throw new RangeError(`${quoted(text)} is no name for an ${kind}: expected ${NAME.source}`);
  }
}

/** The token under which an agent speaks: its name, except `lock` for `sys_lock_manager`. */
export function agentToken(agent: string): string {
  assertName('agent', agent);
  // `constructor` is a valid name: a plain look-up would find what every object inherits.
  return Object.hasOwn(TOKEN_OF_AGENT, agent) ? (TOKEN_OF_AGENT[agent] ?? agent) : agent;
}

/** Whether a name is the token under which another agent speaks: two agents would answer the same subjects. */
export function isTakenToken(agent: string): boolean {
  return Object.values(TOKEN_OF_AGENT).includes(agent);
}

/** `cmd.<agent>.<action>` */
export function commandSubject(agent: string, action: string): string {
  assertName('action', action);
  return `cmd.${agentToken(agent)}.${action}`;
}

/** `cmd.<agent>.<action>.<replica>`: the same command for one replica of the agent, known by the id of its micro service. */
export function replicaCommandSubject(agent: string, action: string, replica: string): string {
  assertReplica(replica);
  return `${commandSubject(agent, action)}.${replica}`;
}

/** `cmd.<agent>.*.<replica>`: all commands to one replica of an agent. */
export function replicaCommandWildcard(agent: string, replica: string): string {
  assertReplica(replica);
  return `${commandWildcard(agent)}.${replica}`;
}

const REPLICA = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a text may name a replica in a subject. */
export function isReplica(text: unknown): text is string {
  return typeof text === 'string' && REPLICA.test(text);
}

function assertReplica(text: string): void {
  if (!isReplica(text)) throw new RangeError(`${quoted(text)} is no id of a replica: expected ${REPLICA.source}`);
}

/** `cmd.<agent>.*`: all commands to an agent, also those it does not know. */
export function commandWildcard(agent: string): string {
  return `cmd.${agentToken(agent)}.*`;
}

/** `qry.<agent>.<kind>` */
export function querySubject(agent: string, kind: QueryKind): string {
  if (!QUERY_KINDS.includes(kind)) {
    throw new RangeError(`${quoted(kind)} is no query: expected ${QUERY_KINDS.join(', ')}`);
  }
  return `qry.${agentToken(agent)}.${kind}`;
}

/** `qry.<agent>.*` */
export function queryWildcard(agent: string): string {
  return `qry.${agentToken(agent)}.*`;
}

/** `evt.<agent>.<event>` */
export function eventSubject(agent: string, event: string): string {
  assertName('event', event);
  return `evt.${agentToken(agent)}.${event}`;
}

/** `evt.<agent>.*` */
export function eventWildcard(agent: string): string {
  return `evt.${agentToken(agent)}.*`;
}

/**
 * Where in its entity's log an event is stored: a commit that sets a lease has its version, every other commit 0, the expiry
 * of a lease `x`. The server purges the subject of a lease whose time is over: so it never finds another commit there.
 */
export type Slot = number | 'x';

/** `ent.<agent>.<entity>.<slot>.<event>`: where a commit is stored. Only the agent's own process may publish to it. */
export function entitySubject(agent: string, entityId: string, slot: Slot, event: string): string {
  assertName('event', event);
  if (slot !== 'x' && !(Number.isSafeInteger(slot) && slot >= 0)) {
    throw new RangeError(`${quoted(slot)} is no slot: expected x, 0 or a version`);
  }
  return `ent.${agentToken(agent)}.${encodeToken(entityId)}.${slot}.${event}`;
}

/** `ent.<agent>.<entity>.refused`: a durable command was refused. No event: neither republished nor delivered as one. */
export function recordSubject(agent: string, entityId: string): string {
  return `ent.${agentToken(agent)}.${encodeToken(entityId)}.${RECORD}`;
}

const RECORD = 'refused';

/** `ent.<agent>.<entity>.>`: the whole log of one entity; every compare-and-set on it names these very bytes. */
export function entityFilter(agent: string, entityId: string): string {
  return `ent.${agentToken(agent)}.${encodeToken(entityId)}.>`;
}

/** `ent.<agent>.*.*.<event>`: one kind of commit of all entities, for durable subscribers; `*` for all kinds. */
export function entityEventFilter(agent: string, event: string): string {
  if (event !== '*') assertName('event', event);
  return `ent.${agentToken(agent)}.*.*.${event}`;
}

/** `ent.<agent>.>`: all that an agent's stream captures. */
export function entityWildcard(agent: string): string {
  return `ent.${agentToken(agent)}.>`;
}

/** `ent.<agent>.probe`: asks the stream whether it knows a command's id; nothing is ever stored there. */
export function probeSubject(agent: string): string {
  return `ent.${agentToken(agent)}.probe`;
}

/** `ENTITIES_<agent>` */
export function entityStream(agent: string): string {
  return `ENTITIES_${agentToken(agent)}`;
}

/** `queue.cmd.<agent>.<entity>.<action>`: where a durable command is stored until it has been executed. */
export function queuedCommandSubject(agent: string, entityId: string, action: string): string {
  assertName('action', action);
  return `queue.cmd.${agentToken(agent)}.${encodeToken(entityId)}.${action}`;
}

/** `queue.cmd.<agent>.*.*`: all durable commands to an agent, also those that it does not know. */
export function queuedCommandWildcard(agent: string): string {
  return `queue.cmd.${agentToken(agent)}.*.*`;
}

/** `queue.cmd.<agent>.*.<action>`: one kind of durable command, to any entity. */
export function queuedActionFilter(agent: string, action: string): string {
  assertName('action', action);
  return `queue.cmd.${agentToken(agent)}.*.${action}`;
}

/** `queue.cmd.<agent>.<entity>.*`: the durable commands to one entity. */
export function queuedEntityFilter(agent: string, entityId: string): string {
  return `queue.cmd.${agentToken(agent)}.${encodeToken(entityId)}.*`;
}

/** `queue.later.<agent>.<entity>.<key>`: a durable command that waits for its time; the key is made of its id. */
export function delayedCommandSubject(agent: string, entityId: string, key: string): string {
  return `queue.later.${agentToken(agent)}.${encodeToken(entityId)}.${encodeToken(key)}`;
}

/** `queue.later.<agent>.*.*` */
export function delayedCommandWildcard(agent: string): string {
  return `queue.later.${agentToken(agent)}.*.*`;
}

/** What becomes of a delayed command. */
export type Decision = 'executed' | 'cancelled';

/** `queue.decided.<agent>.<key>.<decision>`: what becomes of a delayed command; there is one at most. */
export function decidedSubject(agent: string, key: string, decision: Decision): string {
  return `queue.decided.${agentToken(agent)}.${encodeToken(key)}.${decision}`;
}

/** `queue.decided.<agent>.<key>.*`: the decision on one delayed command, whatever it is. */
export function decidedFilter(agent: string, key: string): string {
  return `queue.decided.${agentToken(agent)}.${encodeToken(key)}.*`;
}

/** `queue.decided.<agent>.*.*` */
export function decidedWildcard(agent: string): string {
  return `queue.decided.${agentToken(agent)}.*.*`;
}

/** `COMMANDS_<agent>`: durable commands to an agent. */
export function commandStream(agent: string): string {
  return `COMMANDS_${agentToken(agent)}`;
}

/** `dead.<owner>.<key>`: what an agent could not execute. */
export function deadLetterSubject(owner: string, key: string): string {
  return `dead.${agentToken(owner)}.${encodeToken(key)}`;
}

/** `dead.<owner>.*` */
export function deadLetterFilter(owner: string): string {
  return `dead.${agentToken(owner)}.*`;
}

/** `letters.<owner>.<verb>`: asks an agent about its dead letters; `replay` and `drop` are for operators. */
export function letterSubject(owner: string, verb: LetterVerb): string {
  return `letters.${agentToken(owner)}.${verb}`;
}

export const LETTER_VERBS = ['list', 'get', 'replay', 'drop'] as const;
export type LetterVerb = (typeof LETTER_VERBS)[number];

/** Dead letters of all agents. */
export const DEAD_LETTERS_STREAM = 'DEAD_LETTERS';
export const DEAD_LETTERS_WILDCARD = 'dead.*.*';

/** What a subject says; `agent` is the token under which the agent speaks. */
export type ParsedSubject =
  | { kind: 'command'; agent: string; action: string }
  | { kind: 'query'; agent: string; query: string }
  | { kind: 'event'; agent: string; event: string }
  | { kind: 'entity'; agent: string; entityId: string; slot: Slot; event: string }
  /** A durable command was refused. */
  | { kind: 'record'; agent: string; entityId: string }
  | { kind: 'queued'; agent: string; entityId: string; action: string }
  | { kind: 'delayed'; agent: string; entityId: string; key: string };

/**
 * Undefined for any subject that the functions above do not build. An action or query that no agent has is still one:
 * whoever asks for it gets an answer.
 */
export function parseSubject(subject: string): ParsedSubject | undefined {
  if (subject.startsWith('queue.')) return parseQueueSubject(subject);
  const [prefix, agent = '', third = '', fourth, fifth, ...rest] = subject.split('.');
  if (rest.length > 0 || !isName(agent) || agentToken(agent) !== agent) return undefined;
  if (prefix === 'ent') {
    const entityId = decodeToken(third);
    if (entityId === undefined || fourth === undefined) return undefined;
    if (fifth === undefined) return fourth === RECORD ? { kind: 'record', agent, entityId } : undefined;
    const slot = parseSlot(fourth);
    return slot === undefined || !isName(fifth) ? undefined : { kind: 'entity', agent, entityId, slot, event: fifth };
  }
  if (fourth !== undefined || !isName(third)) return undefined;
  if (prefix === 'cmd') return { kind: 'command', agent, action: third };
  if (prefix === 'qry') return { kind: 'query', agent, query: third };
  if (prefix === 'evt') return { kind: 'event', agent, event: third };
  return undefined;
}

function parseQueueSubject(subject: string): ParsedSubject | undefined {
  const [, kind, agent = '', entity = '', last = '', ...rest] = subject.split('.');
  const entityId = decodeToken(entity);
  if (rest.length > 0 || !isName(agent) || agentToken(agent) !== agent || entityId === undefined) return undefined;
  if (kind === 'cmd') return last === '' ? undefined : { kind: 'queued', agent, entityId, action: last };
  const key = kind === 'later' ? decodeToken(last) : undefined;
  return key === undefined ? undefined : { kind: 'delayed', agent, entityId, key };
}

function parseSlot(token: string): Slot | undefined {
  if (token === 'x') return token;
  const slot = /^(?:0|[1-9]\d{0,15})$/.test(token) ? Number(token) : NaN;
  return Number.isSafeInteger(slot) ? slot : undefined;
}

function quoted(text: unknown): string {
  return `"${printable(String(text), LIMITS.nameCharacters)}"`;
}
