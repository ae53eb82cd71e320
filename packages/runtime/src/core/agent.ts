import { assertEventName, isName, type JsonObject } from '@meshforge/protocol';
import type { z } from 'zod';
import type { AgentHost, Companion } from './companion.ts';

/** What a rule knows besides state and data. It has no clock of its own: time is given. */
export interface RuleContext {
  entityId: string;
  action: string;
  commandId: string;
  /** Milliseconds since the epoch, by the NATS server's clock. */
  now: number;
  /** The version that the entity will have if the command commits. */
  nextVersion: number;
  /** What the last commit's rule left for the next; empty if nothing. */
  notes: string;
}

/** Marks what {@link commit}, {@link annotate} and {@link reject} make. Two copies of this package agree on it. */
const RESULT = Symbol.for('@meshforge/runtime: result of a rule');

/** A rule's acceptance with more than the new state. */
export interface Commit<State> extends CommitOptions {
  readonly state: State | null;
}

/** What a commit can have beside the new state. */
export interface CommitOptions {
  /** Added to the event. */
  data?: JsonObject;
  /**
   * Milliseconds since the epoch, server clock, at least 250 ms ahead: makes the commit a lease that the NATS server itself
   * ends; the agent must define `lease`.
   */
  expiresAt?: number;
  /**
   * Printable ASCII of at most 16 KiB that rides with the entity, seen by its rules and nobody else, until another commit
   * brings its own. Left out, those of before stay.
   */
  notes?: string;
}

/** A rule's acceptance that changes nothing but the notes. */
export interface Annotation {
  readonly notes: string;
  readonly data: JsonObject | undefined;
}

/** A rule's refusal. */
export interface Refusal {
  readonly code: string;
  readonly reason: string;
  readonly details: JsonObject | undefined;
}

/** Accepts a command. @param state the entity after it; null deletes the entity. */
export function commit<State>(state: State | null, options: CommitOptions = {}): Commit<State> {
  return marked('commit', { ...options, state });
}

/**
 * Accepts a command that changes nothing but the notes of a live entity. Its state, its version and the lease that stands stay
 * as they are; the event repeats the version. Those who expect a version are not disturbed.
 * @param data added to the event
 */
export function annotate(notes: string, data?: JsonObject): Annotation {
  return marked('annotation', { notes, data });
}

/**
 * Refuses a command; nothing changes.
 * @param code lower-case token such as `insufficient_stock`.
 * @param reason says what was wrong and what would do.
 * @param details further keys of the payload, for agents that answer `denied`.
 */
export function reject(code: string, reason: string, details?: JsonObject): Refusal {
  return marked('refusal', { code, reason, details });
}

function marked<Result extends object>(kind: ClassifiedResult<unknown>['kind'], result: Result): Result {
  return { ...result, [RESULT]: kind };
}

/** What a rule returned, told apart. */
export type ClassifiedResult<State> =
  | { kind: 'commit'; result: Commit<State> }
  | { kind: 'annotation'; result: Annotation }
  | { kind: 'refusal'; result: Refusal };

/** Tells apart what a rule may return: whatever is not marked is the new state. */
export function classifyResult<State>(result: RuleResult<State>): ClassifiedResult<State> {
  const kind = (result as { [RESULT]?: ClassifiedResult<State>['kind'] } | null)?.[RESULT];
  return kind === undefined
    ? { kind: 'commit', result: { state: result as State | null } }
    : ({ kind, result } as ClassifiedResult<State>);
}

/** What a rule returns: the new state (null = deleted), a commit with more to it, new notes, or a refusal. */
export type RuleResult<State> = State | null | Commit<State> | Annotation | Refusal;

interface ActionBase<Data extends z.ZodType> {
  /** For people who look at the agent with `nats micro info`. */
  description?: string;
  /** Schema of the command's `data`, JSON types only. Defaults of the schema apply. */
  data: Data;
  /** Name of the success event: `evt.<agent>.<event>`. */
  event: string;
  /** Schema of what the rule adds to the event as `data`. */
  eventData?: z.ZodType;
  /**
   * A command must name the lease under which it is sent, else it is answered `lease_required`: any lease, or one on the
   * resource that the function names (pure, as a rule is).
   */
  requiresLease?: true | ((command: { entityId: string; data: z.output<Data> }) => string);
  /** Only the agent's own process may decide it; as a command from anybody else it is unknown. */
  internal?: true;
  /**
   * Not taken as a durable command, where it is unknown: for an action with a permission of its own, which whoever may write to
   * the queue could get around.
   */
  requestOnly?: true;
}

/** An action that creates an entity; answered `already_exists` for a live one. */
export interface CreatingAction<State, Data extends z.ZodType> extends ActionBase<Data> {
  entity: 'absent';
  rule: (state: null, data: z.output<Data>, context: RuleContext) => RuleResult<State>;
}

/** An action on a live entity; answered `not_found` without one. */
export interface ChangingAction<State, Data extends z.ZodType> extends ActionBase<Data> {
  entity: 'present';
  rule: (state: State, data: z.output<Data>, context: RuleContext) => RuleResult<State>;
}

/** An action that does with or without a live entity. */
export interface UpsertingAction<State, Data extends z.ZodType> extends ActionBase<Data> {
  entity: 'any';
  rule: (state: State | null, data: z.output<Data>, context: RuleContext) => RuleResult<State>;
}

export type Action<State, Data extends z.ZodType> =
  | CreatingAction<State, Data>
  | ChangingAction<State, Data>
  | UpsertingAction<State, Data>;

/** How an agent's leases end. */
export interface LeaseDefinition<State> {
  /** Name of the event that the NATS server commits when a lease ends unrefreshed. */
  expiryEvent: string;
  /** Names of the events that grant or move leases. */
  events: readonly string[];
  /** The state after a lease has ended; pure. */
  expire: (state: State) => State | null;
}

/** An agent: its state, its actions and the pure rules that decide them. */
export interface Agent<State = never, Data extends Record<string, z.ZodType> = Record<string, z.ZodType>> {
  readonly name: string;
  readonly description?: string;
  readonly state: z.ZodType<State>;
  readonly actions: { readonly [Name in keyof Data]: Action<State, Data[Name]> };
  readonly lease?: LeaseDefinition<State>;
  /** Payload schema of `evt.<agent>.denied`; with it, refusals of the agent's own rules are answered so. */
  readonly denied?: z.ZodType;
  /** Begins what each replica does beside deciding. */
  readonly companion?: (host: AgentHost) => Companion;
}

/**
 * Defines an agent. Rules are pure and synchronous, `(state, data, context) → new state | commit(…) | reject(…)`: they
 * may run several times for one command, and effects belong to subscribers of the events.
 * The state and the data that a rule gets are frozen: it returns a new state.
 *
 * @throws RangeError for a name that no subject can carry or that is reserved.
 */
export function defineAgent<StateSchema extends z.ZodType, Data extends Record<string, z.ZodType>>(definition: {
  name: string;
  description?: string;
  state: StateSchema;
  actions: { [Name in keyof Data]: Action<z.output<StateSchema>, Data[Name]> };
  lease?: LeaseDefinition<z.output<StateSchema>>;
  denied?: z.ZodType;
  companion?: (host: AgentHost) => Companion;
}): Agent<z.output<StateSchema>, Data> {
  const { name } = definition;
  requireName('agent', name);
  if (name === 'lock') throw new RangeError('agent name lock is the token of sys_lock_manager: choose another name');
  const actions = Object.entries<Action<z.output<StateSchema>, z.ZodType>>(definition.actions);
  if (actions.length === 0) throw new RangeError(`agent ${name} has no actions`);
  const expiryEvent = definition.lease?.expiryEvent;
  if (expiryEvent !== undefined) assertEventName(expiryEvent);
  for (const [action, { event }] of actions) {
    requireName('action', action);
    assertEventName(event);
    if (event === expiryEvent) {
      throw new RangeError(`event ${event} of action ${action} is the expiry event of agent ${name}: choose another`);
    }
  }
  return { ...definition, state: definition.state as z.ZodType<z.output<StateSchema>> };
}

function requireName(kind: string, text: string): void {
  if (!isName(text)) {
    throw new RangeError(`${JSON.stringify(text)} is no name for an ${kind}: expected ^[a-z][a-z0-9_]{0,63}$`);
  }
}

/** An agent of any kind, as the runtime handles it. */
// oxlint-disable-next-line typescript/no-explicit-any -- a rule's parameters are checked where the agent is defined
export type AnyAgent = Agent<any, Record<string, z.ZodType>>;
