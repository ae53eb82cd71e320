/**
 * The entity store: loads, decides, publishes, answers. It owns the cache and the retry loop.
 *
 * Invariants
 * - I1, I3: a commit is one publish, guarded by the sequence that its decision was made on.
 * - I2: a refusal is answered only when no publish of the command can still be stored. While the fate of one is
 *   unknown, the same message is published again until the server gives a definite answer: the guard and the message
 *   id make that harmless.
 * - I4: commands on one entity take turns; those on others never wait for it.
 * - I7: nothing that ends or moves a lease is published in its last moments, and what was acknowledged too late for comfort
 *   is looked at again. What leaves the lease as it is may come at any time: an expiry takes nothing of it away.
 * - I5: a command whose id is among the entity's recent commits, or in the stream's dedupe window, is answered with its
 *   first outcome.
 * - A refusal is decided on an entity as it was at some moment after the command came in, never on an older memory of
 *   it: another replica may have changed it since.
 */
import type { JsonObject } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import type { Command } from '../core/decide.ts';
import { isEnding, type Entity } from '../core/entity.ts';
import { findCommit, remembersAll, type RecentCommit } from '../core/recent.ts';
import { askForCommandId, publishCommit } from '../nats/commit-publisher.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import type { MessageIdResult, PublishResult } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import type { Attempt } from './attempt.ts';
import { decideAttempt, type Refused } from './decide-attempt.ts';
import { EntityCache, type CacheLimits, type Sighting } from './entity-cache.ts';
import { firstOutcome } from './first-outcome.ts';
import { endLostLease } from './lost-lease.ts';
import { success, type StoreOutcome } from '../core/outcome.ts';
import { MAX_PAUSE_MS, pause } from './pause.ts';
import { Turns } from './turns.ts';
import { Underway } from './underway.ts';
import { contended, leaseEnding, notStored, unreachable } from './undecided.ts';

/** Lost races after which an unguarded command is answered `contended`. */
const MAX_RACES = 100;
/** Longest pause after a lost race, in milliseconds: about ten commits of whoever won. */
const MAX_RACE_PAUSE_MS = 20;
/** Tries to reach the server before a command that was never published is answered `unavailable`. */
const MAX_UNREACHED = 4;
/** And at least so long, in milliseconds: a stream without a leader says so at once, and mostly has one soon. */
const PATIENCE_MS = 1_000;
/** How often, and how often at most, the log is asked whether a lease in its last moments has ended: for five seconds. */
const LEASE_POLL_MS = 50;
const MAX_LEASE_POLLS = 100;
/**
 * A commit against a lease is taken to need so many times as long as the oldest publish has waited by now. While a replicated
 * stream cannot commit, its leader takes publishes in, and then ends the lease that the waiting ones were to refresh.
 */
const DELAY_FACTOR = 4;

export interface EntityStoreOptions {
  agent: AnyAgent;
  reader: EntityReader;
  requester: RequestPort;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  /** Of leases that ended before this moment, the server must have lost the schedules; milliseconds since the epoch. */
  lostBefore: () => number;
  /** Asks the server for its time anew; rejects when it does not answer. */
  measureServerTime: () => Promise<void>;
  cache: CacheLimits;
  /** Bytes that the server takes in one message. */
  maxPayload: () => number;
  onDefect: (action: string, reason: string, cause: unknown) => void;
  /** Called for each commit of this process, with the entity as it stands then. */
  onCommit?: (entityId: string, event: string, entity: Entity, data: JsonObject | undefined) => void;
  /** Called for each publish of a command's commit, with what came of it and after how many milliseconds. */
  onPublish?: (action: string, result: PublishResult['kind'], ms: number) => void;
}

/**
 * Whether a command that its rule refuses is taken over by somebody who will decide it again, and then answer it. The entity
 * is as it is remembered, maybe out of date: so no answer may be made of the refusal.
 */
export type TakesOver = (code: string, entity: Entity) => boolean;

export class EntityStore {
  readonly #options: EntityStoreOptions;
  readonly #cache: EntityCache;
  readonly #turns = new Turns();
  readonly #underway: Underway;
  /** Counts moments: commands coming in, reads and publishes going out. */
  #moment = 0;
  #stopped = false;

  constructor(options: EntityStoreOptions) {
    this.#options = options;
    this.#cache = new EntityCache(options.cache);
    this.#underway = new Underway(options.clock);
  }

  get cache(): { size: number; bytes: number } {
    return { size: this.#cache.size, bytes: this.#cache.bytes };
  }

  /** Gives up on commands whose publish has no definite answer yet. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Decides a command and commits it; never rejects.
   * @param isMine asked before each decision: `abandoned` as soon as it is another process's to decide
   */
  execute(
    command: Command,
    takesOver: TakesOver = () => false,
    isMine: () => boolean = () => true,
  ): Promise<StoreOutcome> {
    const cameIn = ++this.#moment;
    return this.#turns.take(command.entityId, () => this.#run(command, cameIn, takesOver, isMine));
  }

  async #run(command: Command, cameIn: number, takesOver: TakesOver, isMine: () => boolean): Promise<StoreOutcome> {
    const { agent, clock, lostBefore, onCommit, requester, serverNow } = this.#options;
    const { entityId } = command;
    let sighting = this.#remembered(entityId);
    /** A publish whose fate is unknown. */
    let doubtful: Attempt | undefined;
    let mustAskLeader = false;
    let races = 0;
    let unreached = 0;
    const startedAt = clock.monotonic();
    const isHopeless = (): boolean => ++unreached >= MAX_UNREACHED && clock.monotonic() - startedAt >= PATIENCE_MS;
    let polls = 0;

    for (;;) {
      if (this.#stopped && doubtful !== undefined) return { kind: 'abandoned' };
      if (sighting === undefined) {
        const look = await this.#look(entityId, mustAskLeader);
        if (look.kind === 'unavailable') {
          if (isHopeless() && doubtful === undefined) return unreachable(command, look.why);
          await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
          continue;
        }
        sighting = look.value;
      }
      if (!isMine()) return { kind: 'abandoned' };
      // Whatever comes next, a further look is one after a surprise.
      mustAskLeader = true;
      const { entity, asOf } = sighting;
      sighting = undefined;

      const { lease } = entity;
      if (lease !== undefined && lease.endsAt < lostBefore()) {
        doubtful = undefined;
        const why = await endLostLease(this.#options, entityId, { ...entity, lease });
        this.#cache.delete(entityId);
        if (why === undefined) continue;
        if (isHopeless()) return unreachable(command, why);
        await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
        continue;
      }

      let attempt: Attempt;
      if (doubtful?.message.expectedSequence === entity.sequence) {
        attempt = doubtful;
      } else {
        doubtful = undefined;
        const decision = decideAttempt(this.#options, command, entity);
        if (decision.kind === 'replay') return this.#replay(command, decision.commit);
        if (decision.kind === 'refuse') {
          const { outcome } = decision;
          if (outcome.kind === 'denied' && takesOver(outcome.code, entity)) return { kind: 'deferred' };
          if (asOf <= cameIn) continue;
          const forgotten = await this.#forgottenCommit(command, entity);
          if (forgotten.kind === 'not_taken') return this.#refuse(command, decision);
          if (forgotten.kind === 'taken') return this.#recall(command, forgotten.sequence);
          if (isHopeless()) return unreachable(command, 'the stream did not say which commands it holds');
          await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
          continue;
        }
        attempt = decision.attempt;
      }

      const standing = attempt.message.aside === undefined ? attempt.message.standing : undefined;
      if (standing !== undefined && isEnding(standing, serverNow(), DELAY_FACTOR * this.#underway.oldestMs)) {
        if (++polls > MAX_LEASE_POLLS && doubtful === undefined) return leaseEnding(command);
        await clock.sleep(LEASE_POLL_MS);
        continue;
      }
      const sentAt = ++this.#moment;
      const result = await this.#underway.track(publishCommit(requester, agent.name, attempt.message), ({ kind }, ms) =>
        this.#options.onPublish?.(command.action, kind, ms),
      );
      // Acknowledged so late that the expiry may have wiped it: only another look can tell.
      const overtaken = standing !== undefined && isEnding(standing, serverNow());
      if (result.kind === 'stored' && !overtaken) {
        const committed = attempt.entityAt(result.sequence);
        this.#cache.set(entityId, { entity: committed, asOf: sentAt });
        onCommit?.(entityId, attempt.message.event, committed, attempt.data);
        return success('committed', attempt.message.event, attempt.payload);
      }
      this.#cache.delete(entityId);
      switch (result.kind) {
        case 'stored':
          break;
        case 'duplicate':
          return this.#recall(command, result.sequence);
        case 'lost_race':
          if (++races > MAX_RACES && doubtful === undefined) return contended(command, races);
          // A guarded command mostly ends in a conflict now; the first look need not wait.
          if (command.expectedVersion !== undefined && races === 1) break;
          await clock.sleep(pause(clock, races, MAX_RACE_PAUSE_MS));
          break;
        case 'refused':
          if (doubtful === undefined) return notStored(command, result.why);
          await clock.sleep(pause(clock, ++unreached, MAX_PAUSE_MS));
          break;
        case 'unknown':
          doubtful = attempt;
          await clock.sleep(pause(clock, ++unreached, MAX_PAUSE_MS));
          break;
      }
    }
  }

  /** Ends the lease of an entity if the server must have lost its schedule. Never rejects. */
  endLostLease(entityId: string): Promise<void> {
    return this.#turns.take(entityId, async () => {
      const look = await this.#look(entityId, true);
      if (look.kind === 'unavailable') return;
      const { entity } = look.value;
      const { lease } = entity;
      if (lease === undefined || lease.endsAt >= this.#options.lostBefore()) return;
      await endLostLease(this.#options, entityId, { ...entity, lease });
      this.#cache.delete(entityId);
    });
  }

  /** What is remembered of the entity, unless a lease of it may have ended meanwhile. */
  #remembered(entityId: string): Sighting | undefined {
    const sighting = this.#cache.get(entityId);
    const endsAt = sighting?.entity.lease?.endsAt;
    if (endsAt === undefined || this.#options.serverNow() < endsAt) return sighting;
    this.#cache.delete(entityId);
    return undefined;
  }

  async #look(entityId: string, askLeader: boolean): Promise<ReadResult<Sighting>> {
    const { reader } = this.#options;
    const sentAt = ++this.#moment;
    const read = await reader.entity(entityId, askLeader);
    if (read.kind === 'unavailable') return read;
    // A follower may answer with something older than the question.
    const asOf = askLeader || reader.alwaysAuthoritative ? sentAt : 0;
    const value = { entity: read.value, asOf };
    this.#cache.set(entityId, value);
    return { kind: 'read', value };
  }

  /**
   * Whether a command that is about to be refused was committed before the time that the entity remembers, or is about to
   * be: a refusal of a committed command would be untrue (I2). Of a commit under way a replicated stream's leader says so.
   */
  #forgottenCommit(command: Command, { recent }: Entity): Promise<MessageIdResult> {
    const { agent, reader, requester } = this.#options;
    if (remembersAll(recent) && command.mayBeUnderWay !== true) return Promise.resolve({ kind: 'not_taken' });
    const { action, entityId, commandId } = command;
    const { event } = agent.actions[action] as { event: string };
    return askForCommandId(requester, agent.name, { entityId, event, commandId }, !reader.alwaysAuthoritative);
  }

  /**
   * The first outcome of a command that the stream knows to hold. Of a lease commit the message may be gone, but the
   * entity, as the leader has it, remembers the outcome.
   */
  async #recall(command: Command, sequence: number): Promise<StoreOutcome> {
    const { agent, clock } = this.#options;
    let known: RecentCommit | undefined;
    for (let tries = 1; agent.lease !== undefined; tries++) {
      const look = await this.#look(command.entityId, true);
      if (look.kind === 'read') {
        known = findCommit(look.value.entity.recent, command.digest);
        break;
      }
      if (this.#stopped) return { kind: 'abandoned' };
      await clock.sleep(pause(clock, tries, MAX_PAUSE_MS));
    }
    return await this.#replay(command, known ?? { digest: command.digest, version: 0, sequence });
  }

  #replay(command: Command, commit: RecentCommit): Promise<StoreOutcome> {
    return firstOutcome(this.#options, command, commit, () => this.#stopped);
  }

  #refuse({ action, entityId }: Command, { outcome, defect: found }: Refused): StoreOutcome {
    if (found !== undefined) {
      this.#options.onDefect(action, found.payload.reason, found.cause);
      // A rule that fails half-way may have changed what it was given.
      this.#cache.delete(entityId);
    }
    return outcome;
  }
}
