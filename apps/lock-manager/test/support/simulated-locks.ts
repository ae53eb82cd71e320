/**
 * Replicas of the lock manager without a server: the real rules, the real waiting room and the real held commands, over a log
 * and a stream in memory, in a time that passes only when everybody sleeps. Every message takes a while, drawn from a seed.
 */
import { check, type JsonObject } from '@meshforge/protocol';
import { digestOf, type AgentHost, type Companion, type StoreOutcome } from '@meshforge/runtime';
import { decide, type Command } from '../../../../packages/runtime/test/support/internals.ts';
import { isEnding, NO_ENTITY, type Entity } from '../../../../packages/runtime/test/support/internals.ts';
import { refusal, success } from '../../../../packages/runtime/test/support/internals.ts';
import { findCommit } from '../../../../packages/runtime/test/support/internals.ts';
import { StoredHeldCommands } from '../../../../packages/runtime/test/support/internals.ts';
import { prepareAttempt, type Attempt } from '../../../../packages/runtime/test/support/internals.ts';
import { Turns } from '../../../../packages/runtime/test/support/internals.ts';
import { lockManager } from '../../src/index.ts';
import type { LockEvent } from './locks.ts';
import { SimulatedHeldStream } from './simulated-held-stream.ts';
import type { SimulatedTime } from '../../../../packages/runtime/test/support/internals.ts';

const POLL_MS = 50;

export interface Answer {
  inbox: string;
  outcome: StoreOutcome;
  at: number;
}

/** The log of one lock, and all who work on it. */
export class SimulatedLocks {
  readonly time: SimulatedTime;
  readonly held: SimulatedHeldStream;
  readonly events: LockEvent[] = [];
  readonly answers: Answer[] = [];
  /** Inboxes that nobody listens to any more. */
  readonly gone = new Set<string>();
  readonly faults: unknown[] = [];
  readonly replicas: SimulatedReplica[] = [];
  entity: Entity = NO_ENTITY;

  constructor(time: SimulatedTime, replicas: number) {
    this.time = time;
    this.held = new SimulatedHeldStream(time);
    for (let i = 0; i < replicas; i++) this.replicas.push(new SimulatedReplica(this));
  }

  /** The replica dies, and another one comes in its place. */
  async crash(index: number, downMs: number): Promise<void> {
    this.replicas[index]?.die();
    await this.time.sleep(downMs);
    const next = new SimulatedReplica(this);
    await next.ready;
    this.replicas[index] = next;
  }

  write(command: Pick<Command, 'entityId' | 'commandId'>, attempt: Attempt): void {
    const { event } = attempt.message;
    this.entity = attempt.entityAt(this.entity.sequence + 1);
    this.#tell(event, attempt.payload, command.commandId);
    const { lease } = this.entity;
    if (lease?.version === this.entity.version) void this.#expire(lease.version, lease.endsAt);
  }

  /** What the server does at the end of a lease that nobody has moved or ended. */
  async #expire(version: number, endsAt: number): Promise<void> {
    await this.time.sleep(endsAt - this.time.now + this.time.draw(80));
    const { lease, ...rest } = this.entity;
    if (lease?.version !== version || rest.state === null) return;
    const leased = { entity_id: 'lock', entity_version: version, state: rest.state };
    this.entity = { ...rest, sequence: rest.sequence + 1, state: { ...rest.state, owner_id: null } };
    this.#tell('expired', JSON.stringify(leased), '');
    for (const replica of this.replicas) void this.time.later(5, () => replica.expired());
  }

  #tell(event: string, text: string, commandId: string): void {
    const { data, ...payload } = JSON.parse(text) as LockEvent['payload'] & { data?: LockEvent['data'] };
    const kind = event as LockEvent['event'];
    this.events.push({ event: kind, payload, data, sequence: this.events.length + 1, time: this.time.now, commandId });
  }
}

export class SimulatedReplica {
  readonly ready: Promise<void>;
  readonly #locks: SimulatedLocks;
  readonly #turns = new Turns();
  readonly #companion: Promise<Companion>;
  readonly #held: StoredHeldCommands;
  /** What it takes the server's clock to be, more or less. */
  readonly #skewMs: number;
  #isDead = false;
  static #count = 0;

  constructor(locks: SimulatedLocks) {
    this.#locks = locks;
    const { time } = locks;
    this.#skewMs = time.draw(4) - 2;
    const serverNow = (): number => Math.floor(time.now + this.#skewMs);
    const held = new StoredHeldCommands({
      ...locks.held.portOf(() => this.#isDead),
      agent: lockManager.name,
      clock: {
        wall: () => time.now,
        monotonic: () => time.now,
        sleep: (ms, signal) => this.#live(time.sleep(ms, signal)),
        random: () => 0.5,
      },
      serverNow,
    });
    held.listen();
    const host: AgentHost = {
      replica: `replica-${++SimulatedReplica.#count}`,
      held,
      serverNow,
      sleep: (ms, signal) => this.#live(time.sleep(ms, signal)),
      execute: ({ action, ...command }) => this.execute(action, command),
      look: () => this.#live(time.trip(() => locks.entity)),
      answer: (command, outcome) => this.#live(time.trip(() => this.#answer(command.reply, outcome))),
      notify: () => {},
      onFault: (error) => locks.faults.push(error),
    };
    this.#companion = held.load().then(() => (lockManager.companion as (host: AgentHost) => Companion)(host));
    this.#held = held;
    this.ready = this.#companion.then(() => undefined);
    const answerInstead = (...[command, outcome]: Parameters<typeof host.answer>): void => {
      if (!this.#isDead) void host.answer(command, outcome);
    };
    void this.ready.then(() => held.watch(answerInstead)).catch((error: unknown) => locks.faults.push(error));
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  die(): void {
    this.#isDead = true;
  }

  expired(): void {
    if (!this.#isDead) void this.#companion.then((companion) => companion.expired('lock'));
  }

  async stop(): Promise<void> {
    if (this.#isDead) return;
    await (await this.#companion).stop();
    this.#held.stop();
  }

  /** A command as a client sends it. */
  async take(action: string, data: JsonObject, commandId: string, inbox: string): Promise<StoreOutcome> {
    const { time } = this.#locks;
    await this.#live(time.trip(() => undefined));
    const companion = await this.#companion;
    const since = Math.floor(time.now + this.#skewMs);
    const command = {
      entityId: 'lock',
      data,
      commandId,
      headers: [['Mesh-Command-Id', commandId]] as [string, string][],
    };
    const outcome = await this.execute(action, command);
    const refused = {
      ...command,
      data: checked(action, data),
      action,
      reply: inbox,
      since,
      expectedVersion: undefined,
    };
    if (outcome.kind === 'denied' && companion.holdsBack(refused, outcome.code)) return { kind: 'held' };
    await this.#live(time.trip(() => this.#answer(inbox, outcome)));
    return outcome;
  }

  execute(
    action: string,
    { data, commandId, headers }: { data: JsonObject; commandId: string; headers: Command['headers'] },
  ): Promise<StoreOutcome> {
    const digest = digestOf(commandId);
    const valid = checked(action, data);
    const command = { entityId: 'lock', action, expectedVersion: undefined, data: valid, commandId, digest, headers };
    return this.#turns.take('lock', () => this.#live(this.#run(command)));
  }

  async #run(command: Command): Promise<StoreOutcome> {
    const locks = this.#locks;
    const { time } = locks;
    for (;;) {
      const entity = await this.#live(time.trip(() => locks.entity));
      const plan = decide(lockManager, entity, command, Math.floor(time.now + this.#skewMs));
      if (plan.kind === 'replay') return replayOf(entity, command);
      if (plan.kind === 'defect') throw new Error(plan.payload.reason, { cause: plan.cause });
      if (plan.kind !== 'commit') return refusal(plan.kind, plan.payload);
      const attempt = prepareAttempt(lockManager, entity, command, plan, 1_048_576) as Attempt;
      if (plan.aside === undefined && entity.lease !== undefined && isEnding(entity.lease, time.now)) {
        await this.#live(time.sleep(POLL_MS));
        continue;
      }
      const isStored = await this.#live(
        time.trip(() => {
          if (locks.entity.sequence !== entity.sequence) return false;
          locks.write(command, attempt);
          return true;
        }),
      );
      if (!isStored) continue;
      const companion = await this.#companion;
      companion.committed('lock', plan.event, attempt.entityAt(0), plan.data);
      return success('committed', plan.event, attempt.payload);
    }
  }

  #answer(inbox: string, outcome: StoreOutcome): boolean {
    if (this.#locks.gone.has(inbox)) return false;
    this.#locks.answers.push({ inbox, outcome, at: this.#locks.time.now });
    return true;
  }

  /** Nothing comes back to the dead. */
  async #live<T>(work: Promise<T>): Promise<T> {
    if (this.#isDead) return await new Promise<never>(() => {});
    const result = await work;
    return this.#isDead ? await new Promise<never>(() => {}) : result;
  }
}

function checked(action: string, data: JsonObject): JsonObject {
  const schema = lockManager.actions[action as keyof typeof lockManager.actions].data;
  const valid = check(schema as Parameters<typeof check>[0], data, 'data');
  if (!valid.ok) throw new TypeError(valid.reason);
  return valid.value as JsonObject;
}

function replayOf(entity: Entity, { digest }: Command): StoreOutcome {
  const commit = findCommit(entity.recent, digest);
  const state = commit?.inline?.state ?? null;
  const event = commit?.inline?.event ?? 'unknown';
  return success('replayed', event, JSON.stringify({ entity_id: 'lock', entity_version: commit?.version, state }));
}
