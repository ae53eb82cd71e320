import type { AgentContract, JsonObject, Outcome } from '@meshforge/protocol';
import type { z } from 'zod';
import type { ConnectOptions } from '../nats/connect.ts';

export type StateOf<C extends AgentContract> = z.output<C['state']>;
export type ActionOf<C extends AgentContract> = keyof C['actions'] & string;
export type DataOf<C extends AgentContract, A extends ActionOf<C>> = z.input<C['actions'][A]['data']>;
type EventDataOf<C extends AgentContract, A extends ActionOf<C>> = C['actions'][A] extends {
  eventData: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : JsonObject;
type DeniedOf<C extends AgentContract> = C extends { denied: infer Schema extends z.ZodType }
  ? z.output<Schema>
  : never;

/** What became of a command; see `Outcome` for the order of precedence. Faults are thrown instead. */
export type CommandOutcome<C extends AgentContract, A extends ActionOf<C>> = Exclude<
  Outcome<StateOf<C>, EventDataOf<C, A>, DeniedOf<C>>,
  { kind: 'unavailable' }
> & { commandId: string };

/** What a command says of the lease under which it is sent; a held lock is one. */
export interface LeaseProof {
  readonly resource: string;
  /** From the grant. An entity that has seen a higher one of the resource refuses the command: `stale_token`. */
  readonly fencingToken: number;
}

export interface RequestOptions<Data> {
  entityId: string;
  /** The version that the decision was made on; 0 = the entity must not exist. Left out: whatever version. */
  expectedVersion?: number;
  /** The lease under which the command is sent. */
  lease?: LeaseProof;
  /** May be left out where the action's schema accepts `{}`. */
  data?: Data;
  /** Default: a new one. The same id again gives the first outcome again. */
  commandId?: string;
  correlationId?: string;
  causationId?: string;
  /** W3C trace context to be carried to the event. Default: that of the active OpenTelemetry span. */
  trace?: { traceparent?: string; tracestate?: string; baggage?: string };
  /** For all tries together, in milliseconds; default 10,000. */
  timeoutMs?: number;
  /**
   * The agent does not decide the command later than so many milliseconds from now, by the server's clock: it is `rejected`
   * with the code `expired`. A client knows the server's time from the first reply that it got; before that, nothing is
   * bounded. It bounds the decision: what was decided in time may be stored a moment later.
   */
  notAfterMs?: number;
  /** For one try, in milliseconds; default that of the client. For commands that may be answered later. */
  tryTimeoutMs?: number;
}

/** A committed change. */
export interface ChangeEvent<State> {
  kind: 'change';
  /** Such as `updated`. */
  event: string;
  entityId: string;
  entityVersion: number;
  /** Null after a delete. */
  state: State | null;
  data: JsonObject | undefined;
  /** Position in the agent's stream; grows with every commit. */
  sequence: number;
  /** RFC 3339. */
  time: string;
  commandId: string;
  correlationId: string | undefined;
}

/** A command that changed nothing. */
export interface SignalEvent {
  kind: 'signal';
  event: 'conflict' | 'rejected' | 'denied';
  payload: JsonObject;
  commandId: string;
  correlationId: string | undefined;
}

export type MeshEvent<State> = ChangeEvent<State> | SignalEvent;

export interface SubscribeOptions {
  /** Name of the durable subscription; all processes that use it share its events. */
  durable: string;
  /**
   * Names of events, such as `updated`; default all that are committed. All processes that use the name share the events of
   * all of them: a start only adds events. Those that this process does not handle are left to the others.
   */
  events?: readonly string[];
  /**
   * Makes `events` the events of the subscription, whatever other processes asked for before: the others are delivered to
   * nobody from now on. Default false.
   */
  exactEvents?: boolean;
  /** Where a new subscription begins; default `beginning`. An existing one goes on where it was. */
  from?: 'beginning' | 'now' | Date;
  /** How long a handler may take before the event is delivered again, in milliseconds. Default 30,000. */
  ackWaitMs?: number;
  /**
   * Called when a handler fails, before the event is put back. Also with a MeshError when the subscription itself is in
   * trouble, once for each: `gone` (its stream or consumer was deleted or replaced; it goes on when it is back),
   * `stream_mismatch` (it delivers other events than these), `unavailable` (nobody has answered for 10 s).
   */
  onError?: (error: unknown) => void;
}

export interface EventSubscription {
  /** Finishes the event at hand, and ends. The durable subscription itself stays in the server. */
  stop(): Promise<void>;
}

export interface MeshOptions extends ConnectOptions {
  /** For a command or query with all its tries, in milliseconds; default 10,000. */
  timeoutMs?: number;
  /** For one try, in milliseconds; default 2,000. */
  tryTimeoutMs?: number;
  /** JetStream domain under which this account sees the entity streams, for durable subscriptions. Default: its own. */
  jetstreamDomain?: string;
}
