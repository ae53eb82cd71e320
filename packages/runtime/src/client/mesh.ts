/** The client: sends commands, asks queries, follows events. */
import {
  commandSubject,
  GetResult,
  HistoryResult,
  ListResult,
  OutcomeResult,
  querySubject,
  replicaCommandSubject,
  type AgentContract,
  type JsonObject,
  type QueryKind,
} from '@meshforge/protocol';
import { nuid, type NatsConnection } from '@nats-io/nats-core';
import type { z } from 'zod';
import { systemClock, within, type Clock } from '../clock.ts';
import { connectNats, INBOX_PREFIX } from '../nats/connect.ts';
import { Presence } from '../nats/presence/presence.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import { Requester, type Answer } from '../nats/requester.ts';
import { startReaction } from '../reaction/reaction.ts';
import type { Reacting, ReactOptions, RunningReaction } from '../reaction/types.ts';
import { requestInSpan } from '../telemetry/request-span.ts';
import { subscribeDurably } from './durable-subscription.ts';
import { commandBody } from './command-body.ts';
import { commandHeaders } from './command-headers.ts';
import { Letters } from './letters.ts';
import { Locks } from './locks/locks.ts';
import type { Lease, LockOptions } from './locks/types.ts';
import { Inboxes } from './outcome-inbox.ts';
import { requestPatiently, type Asking, type PatientRequest } from './patient-requester.ts';
import { query } from './query.ts';
import { Replicas } from './replicas.ts';
import { outcomeOf } from './reply.ts';
import { ServerTime } from './server-time.ts';
import { Sending, type SendOptions, type Sent, type SentCommand } from './send.ts';
import type {
  ActionOf,
  ChangeEvent,
  CommandOutcome,
  DataOf,
  EventSubscription,
  MeshOptions,
  RequestOptions,
  StateOf,
  SubscribeOptions,
} from './types.ts';
import { Updates, type UpdateOptions, type Updater } from './update.ts';
import { watchEvents, type Watch } from './watch.ts';

/** How long the first try waits for the replica that it was sent to, in milliseconds: it may stand still. */
const FIRST_TRY_MS = 1_000;
/** How long closing waits for a server that does not answer, in milliseconds. */
const DRAIN_MS = 2_000;

/** Connects a client. @throws MeshError `connection`, `invalid_options` */
export async function connectMesh(options: MeshOptions = {}): Promise<Mesh> {
  const connection = await connectNats(options);
  return new Mesh(connection, options);
}

export class Mesh {
  readonly #connection: NatsConnection;
  readonly #requester: Requester;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #asking: Asking;
  readonly #inboxPrefix: string;
  readonly #updates: Updates;
  readonly #replicas: Replicas;
  readonly #serverTime: ServerTime;
  readonly #locks: Locks;
  readonly #sending: Sending;
  readonly #reactions = new Set<RunningReaction>();
  readonly #subscriptions = new Set<EventSubscription>();
  readonly #presence: Presence;
  readonly #domain: string | undefined;

  /** @param clock simulations replace it */
  constructor(connection: NatsConnection, options: MeshOptions, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#updates = new Updates(this, clock);
    this.#serverTime = new ServerTime(clock);
    const { inboxPrefix = INBOX_PREFIX, jetstreamDomain: domain, timeoutMs = 10_000, tryTimeoutMs = 2_000 } = options;
    this.#domain = domain;
    this.#connection = connection;
    this.#inboxPrefix = inboxPrefix;
    this.#requester = new Requester(connection, inboxPrefix, this.#clock, tryTimeoutMs);
    this.#presence = new Presence({ connection, requester: this.#requester, clock, domain, report: () => {} });
    this.#timeoutMs = timeoutMs;
    this.#replicas = new Replicas(connection, inboxPrefix, clock);
    this.#asking = { requester: this.#requester, clock: this.#clock, timeoutMs };
    this.#locks = new Locks(this, connection, this.#clock, timeoutMs);
    const inboxes = new Inboxes(connection, inboxPrefix, this.#clock);
    this.#sending = new Sending({ ...this.#asking, inboxes, serverTime: this.#serverTime });
  }

  /**
   * Sends a command and waits for its outcome. Tries again with the same command id while the answer does not come or
   * says `unavailable`, so it commits at most once.
   *
   * @throws MeshError `timeout` (it may have been committed), `unavailable` (it was not), `invalid_options`, `protocol`
   */
  async request<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    action: A,
    options: RequestOptions<DataOf<C, A>>,
  ): Promise<CommandOutcome<C, A>> {
    const { commandId = nuid.next(), timeoutMs = this.#timeoutMs, tryTimeoutMs } = options;
    const subject = commandSubject(contract.name, action);
    const body = commandBody(options);
    const lines = [...commandHeaders(commandId, options), ...this.#serverTime.deadline(options.notAfterMs)];
    const first = this.#firstTry(contract.name, action, options.entityId, tryTimeoutMs);
    const what = `command ${commandId} (${subject})`;
    const doubt = 'It may have been carried out; send it again with the same command id to learn its outcome';
    const { correlationId, entityId } = options;
    const request = { subject, agent: contract.name, action, entityId, commandId, correlationId, lines };
    const outcome = await requestInSpan({ operation: 'request', ...request }, (traced) =>
      requestPatiently(
        this.#requester,
        this.#clock,
        { subject, body, headers: rawHeaders(traced), timeoutMs, tryTimeoutMs, first, what, doubt },
        (message, wasLost) => {
          this.#serverTime.see(message);
          const read = outcomeOf(message);
          // An earlier copy of it may have been decided in time.
          const isUnsure = wasLost && read.kind === 'rejected' && read.payload.code === 'expired';
          return read.kind === 'unavailable' || isUnsure
            ? { done: false, why: read.payload.reason }
            : { done: true, value: read };
        },
      ),
    );
    return { ...outcome, commandId } as CommandOutcome<C, A>;
  }

  /**
   * Stores a command until it has been executed: by any replica of its agent, now or later, also one that is not running yet.
   * Commands on one entity are executed in the order in which they were stored. Only faults are tried again; what cannot be
   * executed is a dead letter of the agent ({@link deadLetters}).
   *
   * @returns when it is stored; `outcome()` tells what became of it
   * @throws MeshError `timeout` (it may be stored), `unavailable` (it is not: an agent's stream is made when the agent first
   *   starts), `rejected` (the server refused it), `invalid_options`
   */
  send<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    action: A,
    options: SendOptions<DataOf<C, A>>,
  ): Promise<Sent<C, A>> {
    return this.#sending.send(contract, action, options);
  }

  /**
   * Takes a command back that was sent to an entity for later.
   * @returns true: it will not be executed, nor under the same id within the next hour; false: its time had come, or there is
   *   none (any more)
   * @throws MeshError `timeout`, `unavailable`
   */
  cancel(contract: AgentContract, command: SentCommand): Promise<boolean> {
    return this.#sending.cancel(contract, command);
  }

  /**
   * Follows an agent's commits with commands, to any agents. Each event leads to its commands exactly once in effect: their ids are
   * made of the event, they are durable, and redelivery and replicas change nothing. Events of one entity are handled in order;
   * one whose handler keeps throwing becomes a dead letter, and holds up no other entity.
   *
   * @throws MeshError `invalid_options`, `unavailable`
   */
  async react<C extends AgentContract>(
    contract: C,
    options: ReactOptions,
    handler: Reacting<StateOf<C>>,
  ): Promise<RunningReaction> {
    const reaction = await startReaction(contract, options, handler, {
      connection: this.#connection,
      requester: this.#requester,
      clock: this.#clock,
      inboxPrefix: this.#inboxPrefix,
      domain: this.#domain,
      sending: this.#sending,
      presence: this.#presence,
    });
    const running = {
      stats: () => reaction.stats(),
      stop: async () => {
        this.#reactions.delete(running);
        await reaction.stop();
      },
    };
    this.#reactions.add(running);
    return running;
  }

  /** What an agent could not execute, or a reaction not handle: to list, look at, replay and drop. @param of a reaction's name */
  deadLetters(of: AgentContract | string): Letters {
    return new Letters(typeof of === 'string' ? of : of.name, this.#asking);
  }

  /**
   * The entity as it is; undefined if there is none.
   * @param options `minVersion`: at least as new as this version, such as one that was just written.
   */
  async get<C extends AgentContract>(
    contract: C,
    entityId: string,
    options: { minVersion?: number } = {},
  ): Promise<GetResult<StateOf<C>> | undefined> {
    const question = { entity_id: entityId, min_version: options.minVersion };
    return (await this.#query(contract, 'get', question, GetResult)) as GetResult<StateOf<C>> | undefined;
  }

  /** The events of an entity, newest first; empty if it never was. */
  async history<C extends AgentContract>(
    contract: C,
    entityId: string,
    options: { limit?: number; beforeVersion?: number } = {},
  ): Promise<HistoryResult<StateOf<C>>> {
    const question = { entity_id: entityId, limit: options.limit, before_version: options.beforeVersion };
    const result = await this.#query(contract, 'history', question, HistoryResult);
    return (result ?? { events: [] }) as HistoryResult<StateOf<C>>;
  }

  /**
   * What became of a command, by its id: from the entity's log, and the queue. `unknown` is not "no": a request may be under way,
   * or have been refused; and ids are kept for the entity's last 32 commands and for ten minutes.
   */
  async outcome(
    contract: AgentContract,
    { commandId, entityId }: { commandId: string; entityId: string },
  ): Promise<OutcomeResult> {
    const question = { entity_id: entityId, command_id: commandId };
    const result = await this.#query(contract, 'outcome', question, OutcomeResult);
    return result ?? { ...question, status: 'unknown' };
  }

  /** A page of live entities in the order of their ids; `next` of the page goes into `after` for the following. */
  async list<C extends AgentContract>(
    contract: C,
    options: { limit?: number; after?: string; prefix?: string } = {},
  ): Promise<ListResult<StateOf<C>>> {
    const result = await this.#query(contract, 'list', { ...options }, ListResult);
    return (result ?? { entities: [] }) as ListResult<StateOf<C>>;
  }

  /** Live events of an agent, signals included; at most once. */
  watch<C extends AgentContract>(contract: C, options: { events?: readonly string[] } = {}): Watch<StateOf<C>> {
    return watchEvents(this.#connection, contract.name, options.events);
  }

  /**
   * Commits of an agent, at least once, from its stream. The user needs the rights of a durable subscriber.
   *
   * The subscription goes on by itself after its stream or consumer was deleted and is there again; `onError` is told. It never
   * creates them again: a new consumer would skip events or repeat them.
   */
  async subscribe<C extends AgentContract>(
    contract: C,
    options: SubscribeOptions,
    handler: (event: ChangeEvent<StateOf<C>>) => void | Promise<void>,
  ): Promise<EventSubscription> {
    const ports = {
      connection: this.#connection,
      clock: this.#clock,
      requester: this.#requester,
      presence: this.#presence,
      domain: this.#domain,
    };
    const started = await subscribeDurably(ports, contract.name, options, handler);
    const subscription = {
      stop: async () => {
        this.#subscriptions.delete(subscription);
        await started.stop();
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Why streams and consumers that this client relies on do not serve; empty: nothing is known to be wrong. */
  problems(): string[] {
    return this.#presence.problems();
  }

  /**
   * Read, decide, send with the version that was read; once more from the start on a conflict. Updates of the same entity
   * by the same client take turns.
   * @param decide pure: it may run many times. Undefined means: nothing to do.
   * @throws MeshError `contended` when all tries met conflicts, and what {@link request} throws
   */
  update<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    entityId: string,
    decide: Updater<C, A>,
    options: UpdateOptions = {},
  ): Promise<CommandOutcome<C, A> | undefined> {
    return this.#updates.update(contract, entityId, decide, options);
  }

  /**
   * Runs some work while it holds a lock, or several, and gives them back when the work is done or has thrown. Several are
   * taken all or none, by every client in the same order, so that clients which name them differently do not block each
   * other for ever. The lease is refreshed in the background; see {@link Lease} for what it promises.
   *
   * @returns what the work returns, but only if the lease was held until then; a failure to give it back hides nothing
   * @throws MeshError `lock_denied`: not acquired within `waitMs`, which is 0 by default; `lease_lost`: lost while the
   *   work was under way, which then has to expect that another holder began; `invalid_options`, `timeout`,
   *   `unavailable`; before all of them what the work itself throws; the reason of `options.signal` when it aborts
   */
  lock<T>(
    resource: string | readonly string[],
    options: LockOptions,
    work: (lease: Lease) => T | Promise<T>,
  ): Promise<T> {
    return this.#locks.lock(resource, options, work);
  }

  /**
   * A lock, or several, for work that no function encloses. It is refreshed until it is lost or `release()` is called.
   * @throws as {@link lock} does, `lease_lost` included: earlier locks may be lost while later ones are waited for
   */
  acquire(resource: string | readonly string[], options: LockOptions = {}): Promise<Lease> {
    return this.#locks.acquire(resource, options);
  }

  /**
   * Stops reactions and ends the connection; what is under way gets no answer: its callers get the error that says so.
   * Leases are lost, and their locks come free when their time is over: release them before.
   */
  async close(): Promise<void> {
    await Promise.all([...this.#reactions].map((reaction) => reaction.stop()));
    // Their handlers may take any time; what is not acknowledged by then comes again.
    for (const subscription of this.#subscriptions) void subscription.stop();
    this.#presence.stop();
    this.#locks.close();
    this.#requester.close();
    // A connection that is gone can not be drained: it must not hold up the end.
    const draining = this.#connection.drain().catch(() => {});
    await within(this.#clock, DRAIN_MS, draining);
    await this.#connection.close();
  }

  /** Undefined: to whichever replica takes it. */
  #firstTry(agent: string, action: string, entityId: string, tryTimeoutMs?: number): PatientRequest['first'] {
    const replica = this.#replicas.choose(agent, entityId);
    if (replica === undefined) return undefined;
    const subject = replicaCommandSubject(agent, action, replica);
    const onFailure = (why: Answer['kind']): void => {
      // Who names a time may wait so long for a lock: no answer says nothing of the replica.
      if (why !== 'lost' || tryTimeoutMs === undefined) this.#replicas.suspect(agent, replica);
    };
    return { subject, timeoutMs: tryTimeoutMs ?? FIRST_TRY_MS, onFailure };
  }

  #query<T>(
    contract: AgentContract,
    kind: QueryKind,
    question: JsonObject,
    schema: z.ZodType<T>,
  ): Promise<T | undefined> {
    return query(this.#asking, querySubject(contract.name, kind), question, schema);
  }
}
