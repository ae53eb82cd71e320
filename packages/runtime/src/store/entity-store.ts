/**
 * The entity store: loads, decides, publishes, answers. It owns the cache and the retry loop.
 *
 * Invariants
 * - I1, I3: a commit is one publish, guarded by the sequence that its decision was made on.
 * - I2: a refusal is answered only when no publish of the command can still be stored. While the fate of one is
 *   unknown, the same message is published again until the server gives a definite answer: the guard and the message
 *   id make that harmless.
 * - I4: commands on one entity take turns; those on others never wait for it.
 * - I5: a command whose id is among the entity's recent commits, or in the stream's dedupe window, is answered with its
 *   first outcome.
 * - Refusals are never decided on a cached entity alone, for another replica may have changed it. The exception is a
 *   conflict with a version that the cache has seen pass: versions only grow.
 */
import { LIMITS, type JsonObject } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import { decide, rejected, type Command, type CommitPlan, type Plan } from '../core/decide.ts';
import { inlineOutcome, type Entity } from '../core/entity.ts';
import { formatRecent, recentCommit, remember, type RecentCommit } from '../core/recent.ts';
import { publishCommit, type CommitMessage } from '../nats/commit-publisher.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { PublishResult } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { EntityCache, type CacheLimits } from './entity-cache.ts';
import { refusal, success, type StoreOutcome } from './outcome.ts';
import { Turns } from './turns.ts';

/** Lost races after which an unguarded command is answered `contended`. */
const MAX_RACES = 100;
/** Longest pause after a lost race, in milliseconds: about ten commits of whoever won. */
const MAX_RACE_PAUSE_MS = 20;
/** Tries to reach the server before a command that was never published is answered `unavailable`. */
const MAX_UNREACHED = 4;
const MAX_PAUSE_MS = 1_000;

export interface EntityStoreOptions {
  agent: AnyAgent;
  reader: EntityReader;
  requester: RequestPort;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  cache: CacheLimits;
  /** Bytes that the server takes in one message. */
  maxPayload: () => number;
  onDefect: (action: string, reason: string, cause: unknown) => void;
}

/** Mesh and trace headers of a command, checked: what is copied to its event. */
export type CommandHeaders = readonly (readonly [name: string, value: string])[];

/** A commit on its way: what is published, and what the entity will be when it is stored. */
interface Attempt {
  message: CommitMessage;
  payload: string;
  entityAt: (sequence: number) => Entity;
}

export class EntityStore {
  readonly #options: EntityStoreOptions;
  readonly #cache: EntityCache;
  readonly #turns = new Turns();
  #stopped = false;

  constructor(options: EntityStoreOptions) {
    this.#options = options;
    this.#cache = new EntityCache(options.cache);
  }

  get cache(): { size: number; bytes: number } {
    return { size: this.#cache.size, bytes: this.#cache.bytes };
  }

  /** Gives up on commands whose publish has no definite answer yet. */
  stop(): void {
    this.#stopped = true;
  }

  /** Decides a command and commits it; never rejects. */
  execute(command: Command, headers: CommandHeaders): Promise<StoreOutcome> {
    return this.#turns.take(command.entityId, () => this.#run(command, headers));
  }

  async #run(command: Command, headers: CommandHeaders): Promise<StoreOutcome> {
    const { agent, reader, clock } = this.#options;
    let entity = this.#trusted(command.entityId);
    /** Whether the entity at hand is as the leader has it. */
    let current = false;
    /** A publish whose fate is unknown. */
    let doubtful: Attempt | undefined;
    let races = 0;
    let unreached = 0;

    for (;;) {
      if (this.#stopped && doubtful !== undefined) return { kind: 'abandoned' };
      if (entity === undefined) {
        const authoritative: boolean = current || races > 0 || doubtful !== undefined;
        const read = await this.#read(command.entityId, authoritative);
        if (read === undefined) {
          if (this.#stopped && doubtful !== undefined) return { kind: 'abandoned' };
          if (++unreached >= MAX_UNREACHED && doubtful === undefined) return this.#unreachable(command);
          await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
          continue;
        }
        entity = read;
        current = authoritative || reader.alwaysAuthoritative;
      }

      let attempt: Attempt;
      if (doubtful?.message.expectedSequence === entity.sequence) {
        attempt = doubtful;
      } else {
        doubtful = undefined;
        const plan = decide(agent, entity, command, this.#options.serverNow());
        if (plan.kind === 'replay') return this.#replay(command, plan.commit);
        if (plan.kind !== 'commit') {
          if (current || isDefinite(plan, entity)) return this.#refuse(command, plan);
          entity = undefined;
          current = true;
          continue;
        }
        const prepared = this.#prepare(command, headers, entity, plan);
        if ('kind' in prepared) return prepared;
        attempt = prepared;
      }

      const result: PublishResult = await publishCommit(this.#options.requester, agent.name, attempt.message);
      switch (result.kind) {
        case 'stored':
          this.#cache.set(command.entityId, attempt.entityAt(result.sequence));
          return success('committed', attempt.message.event, attempt.payload);
        case 'duplicate':
          this.#cache.delete(command.entityId);
          return this.#replay(command, recentCommit(command.digest, 0, result.sequence));
        case 'refused':
          if (doubtful === undefined) {
            const reason = `the server did not store the command: ${result.why}`;
            return refusal('unavailable', rejected(command, 'unavailable', reason).payload);
          }
          await clock.sleep(pause(clock, ++unreached, MAX_PAUSE_MS));
          break;
        case 'lost_race':
          if (++races > MAX_RACES && doubtful === undefined) return this.#contended(command, races);
          // A guarded command mostly ends in a conflict now; the first look need not wait.
          if (command.expectedVersion === undefined || races > 1)
            await clock.sleep(pause(clock, races, MAX_RACE_PAUSE_MS));
          break;
        case 'unknown':
          doubtful = attempt;
          await clock.sleep(pause(clock, ++unreached, MAX_PAUSE_MS));
          break;
      }
      this.#cache.delete(command.entityId);
      entity = undefined;
    }
  }

  /** The cached entity, unless a lease of it may have ended meanwhile. */
  #trusted(entityId: string): Entity | undefined {
    const entity = this.#cache.get(entityId);
    if (entity?.lease === undefined || this.#options.serverNow() < entity.lease.endsAt) return entity;
    this.#cache.delete(entityId);
    return undefined;
  }

  async #read(entityId: string, authoritative: boolean): Promise<Entity | undefined> {
    const read = await this.#options.reader.entity(entityId, authoritative);
    if (read.kind === 'unavailable') return undefined;
    this.#cache.set(entityId, read.value);
    return read.value;
  }

  #prepare(command: Command, headers: CommandHeaders, entity: Entity, plan: CommitPlan): Attempt | StoreOutcome {
    const { entityId, commandId, digest } = command;
    const { event, version, state, data, expiresAt } = plan;
    const payload = JSON.stringify({ entity_id: entityId, entity_version: version, state, data });
    const body = new TextEncoder().encode(payload);
    const tooLarge = this.#tooLarge(command, state, body.length);
    if (tooLarge !== undefined) return tooLarge;
    const expiryEvent = this.#options.agent.lease?.expiryEvent;
    const lease = expiresAt === undefined || expiryEvent === undefined ? undefined : { endsAt: expiresAt, expiryEvent };
    const recent = formatRecent(entity.recent);
    return {
      payload,
      message: {
        entityId,
        event,
        expectedSequence: entity.sequence,
        body,
        commandId,
        recent,
        headers,
        lease,
        standing: entity.lease,
      },
      entityAt: (sequence) => {
        const inline = lease === undefined ? undefined : inlineOutcome(event, { state, data });
        return {
          sequence,
          version,
          state,
          bytes: body.length + recent.length,
          recent: remember(entity.recent, recentCommit(digest, version, sequence, inline)),
          ...(lease === undefined ? {} : { lease: { endsAt: lease.endsAt, event } }),
        };
      },
    };
  }

  #tooLarge(command: Command, state: JsonObject | null, bodyBytes: number): StoreOutcome | undefined {
    // The headers take the rest; the server allows 64 KiB of them.
    const room = this.#options.maxPayload() - 65_536;
    if (bodyBytes <= LIMITS.stateBytes && bodyBytes <= room) return undefined;
    const stateBytes = Buffer.byteLength(JSON.stringify(state));
    if (stateBytes > LIMITS.stateBytes) {
      const reason = `the state would have ${stateBytes} bytes: expected at most ${LIMITS.stateBytes}`;
      return refusal('rejected', rejected(command, 'too_large', reason).payload);
    }
    if (bodyBytes <= room) return undefined;
    const reason = `the event would have ${bodyBytes} bytes: the server takes at most ${room}`;
    return refusal('rejected', rejected(command, 'too_large', reason).payload);
  }

  async #replay(command: Command, commit: RecentCommit): Promise<StoreOutcome> {
    if (commit.inline !== undefined) {
      const { event, state, data } = commit.inline;
      const payload = { entity_id: command.entityId, entity_version: commit.version, state, data };
      return success('replayed', event, JSON.stringify(payload));
    }
    for (let tries = 1; ; tries++) {
      const read = await this.#options.reader.message(commit.sequence);
      if (read.kind === 'unavailable') {
        if (this.#stopped) return { kind: 'abandoned' };
        await this.#options.clock.sleep(pause(this.#options.clock, tries, MAX_PAUSE_MS));
        continue;
      }
      const message = read.value === undefined ? undefined : this.#options.reader.toLogMessage(read.value);
      if (message === undefined || read.value === undefined) {
        const reason = `command ${command.commandId} was committed before; its outcome is no longer kept`;
        return refusal('rejected', rejected(command, 'invalid_command', reason).payload);
      }
      if (message.entityId !== command.entityId) {
        const reason = `command id ${command.commandId} was used before, on another entity: give each command its own`;
        return refusal('rejected', rejected(command, 'invalid_command', reason).payload);
      }
      const event = message.expiredEvent ?? message.event;
      return success('replayed', event, new TextDecoder().decode(read.value.data));
    }
  }

  #refuse(command: Command, plan: Exclude<Plan, CommitPlan | { kind: 'replay' }>): StoreOutcome {
    if (plan.kind !== 'defect') return refusal(plan.kind, plan.payload);
    this.#options.onDefect(command.action, plan.payload.reason, plan.cause);
    return refusal('unavailable', plan.payload);
  }

  #contended(command: Command, races: number): StoreOutcome {
    const reason = `other writers were first ${races} times: send it again`;
    return refusal('unavailable', rejected(command, 'contended', reason).payload);
  }

  #unreachable(command: Command): StoreOutcome {
    const reason = 'the entity store does not answer: send it again in a second';
    return refusal('unavailable', rejected(command, 'unavailable', reason).payload);
  }
}

/** A version only grows: whoever expects one that has passed has lost, whatever others did since. */
function isDefinite(plan: Plan, entity: Entity): boolean {
  return (
    plan.kind === 'conflict' && plan.payload.expected_version > 0 && plan.payload.expected_version < entity.version
  );
}

/** Full jitter: anything up to a bound that doubles with each try. */
function pause(clock: Clock, tries: number, maxMs: number): number {
  return clock.random() * Math.min(maxMs, 2 ** Math.min(tries, 10));
}
