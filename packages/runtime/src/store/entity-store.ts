/**
 * The entity store: loads, decides, publishes, answers. It owns the cache and the retry loop.
 *
 * Invariants
 * - I1, I3: a commit is one publish, guarded by the sequence that its decision was made on.
 * - I2: a refusal is answered only when no publish of the command can still be stored. While the fate of one is
 *   unknown, the same message is published again until the server gives a definite answer: the guard and the message
 *   id make that harmless.
 * - I4: commands on one entity take turns; those on others never wait for it.
 * - I5: a command whose id is among the entity's recent commands, or in the stream's dedupe window, is answered with its
 *   first outcome.
 * - A refusal is decided on an entity as it was at some moment after the command came in, never on an older memory of
 *   it: another replica may have changed it since. Nor on a read that is older than what this process knows of it.
 * - A durable command is decided once: by its commit, or by a record of its refusal. Both stand in the log before anyone hears
 *   of them, and both move the entity's mark, at or below which no durable command is decided again.
 */
import type { JsonObject } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import type { Command } from '../core/decide.ts';
import { entityAfter, isMarked, type Entity, type QueuePlace, type StandingLease } from '../core/entity.ts';
import { decidedBefore, type StoreOutcome } from '../core/outcome.ts';
import { findCommand, isComplete, type RecentCommand } from '../core/recent.ts';
import { probe, publishCommit } from '../nats/commit-publisher.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import type { PublishResult } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { prepareMark, prepareRecord, type Attempt } from './attempt.ts';
import { decideAttempt, type Refused } from './decide-attempt.ts';
import { EntityCache, type CacheLimits, type KnownEntity } from './entity-cache.ts';
import { firstOutcome, type EarlierCommand } from './first-outcome.ts';
import { endLostLease, isLost } from './lost-lease.ts';
import { MAX_PAUSE_MS, pause } from './pause.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { contended, notStored, unreachable } from './undecided.ts';

/** Lost races after which an unguarded command is answered `contended`. */
const MAX_RACES = 100;
/** Longest pause after a lost race, in milliseconds: about ten commits of whoever won. */
const MAX_RACE_PAUSE_MS = 20;
/** Tries to reach the server before a command that was never published is answered `unavailable`. */
const MAX_UNREACHED = 4;
/** And at least so long, in milliseconds: a stream without a leader says so at once, and mostly has one soon. */
const PATIENCE_MS = 1_000;

export interface EntityStoreOptions {
  agent: AnyAgent;
  reader: EntityReader;
  requester: RequestPort;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  /** Whether `serverNow` may be wrong. Default: it is not. */
  isTimeDoubtful?: () => boolean;
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
  readonly #mutex = new KeyedMutex();
  /** Counts moments: commands coming in, reads and publishes going out. */
  #moment = 0;
  /** What was seen before this moment may have been another log. */
  #forgottenAt = 0;
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

  /** Forgets what it has seen: the log may be another one by now. What is read or published meanwhile does not count. */
  forgetAll(): void {
    this.#forgottenAt = ++this.#moment;
    this.#cache.clear();
  }

  /** Decides a command and commits it; never rejects. Of a durable command a refusal is recorded as well. */
  execute(command: Command, takesOver: TakesOver = () => false): Promise<StoreOutcome> {
    const cameIn = ++this.#moment;
    return this.#mutex.run(command.entityId, () => this.#run(command, cameIn, takesOver));
  }

  async #run(command: Command, cameIn: number, takesOver: TakesOver): Promise<StoreOutcome> {
    const { agent, clock, onCommit, onPublish, requester, serverNow } = this.#options;
    const { action, entityId, queued } = command;
    let seen = this.#cache.get(entityId);
    /** The entity's log has come so far, as this process knows. A read that does not is stale. */
    let known = seen?.entity.sequence ?? 0;
    if (seen !== undefined && this.#mayHaveEnded(seen.entity.lease)) seen = undefined;
    let seenAt = ++this.#moment;
    /** A publish whose fate is unknown, and the entity that it was decided on. */
    let doubtful: { attempt: Attempt; on: Entity } | undefined;
    let isFirstLook = true;
    let races = 0;
    let unreached = 0;
    const startedAt = clock.monotonic();
    /** Counts a try that did not reach the server. True: enough of them, and nothing of the command can be in the log. */
    const isHopeless = (): boolean =>
      ++unreached >= MAX_UNREACHED && clock.monotonic() - startedAt >= PATIENCE_MS && doubtful === undefined;

    for (;;) {
      if (this.#stopped && doubtful !== undefined) return { kind: 'abandoned' };
      if (command.notAfter !== undefined && this.#options.isTimeDoubtful?.() === true) {
        const isKnown = await this.#options.measureServerTime().then(
          () => true,
          () => false,
        );
        if (!isKnown) {
          if (isHopeless()) return unreachable(command, 'the server does not tell its time');
          await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
          continue;
        }
      }
      if (seen === undefined) {
        if (seenAt < this.#forgottenAt) known = 0;
        seenAt = ++this.#moment;
        const look = await this.#look(entityId, !isFirstLook, known);
        isFirstLook = false;
        if (look.kind === 'unavailable') {
          if (isHopeless()) return unreachable(command, look.why);
          await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
          continue;
        }
        seen = look.value;
      }
      // Whatever comes next, a further look is one after a surprise, and asks the leader.
      isFirstLook = false;
      const { entity, asOf } = seen;
      known = entity.sequence;
      seen = undefined;

      const { lease } = entity;
      if (lease !== undefined && isLost(lease, serverNow())) {
        const why = await endLostLease(this.#options, entityId, { ...entity, lease });
        this.#cache.delete(entityId);
        if (why === undefined) continue;
        if (isHopeless()) return unreachable(command, why);
        await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
        continue;
      }

      let attempt: Attempt;
      if (doubtful !== undefined && isSame(doubtful.on, entity)) {
        attempt = doubtful.attempt;
      } else {
        const decision = decideAttempt(this.#options, command, entity);
        if (decision.kind === 'replay') return this.#replay(command, decision.earlier);
        const isRefused = decision.kind === 'refuse';
        if (isRefused) {
          const { outcome } = decision;
          if (outcome.kind === 'denied' && takesOver(outcome.code, entity)) return { kind: 'deferred' };
          if (asOf <= cameIn) continue;
        }
        // A refusal of what is committed would be untrue (I2). The command can be older than what the entity remembers. A publish
        // can also be on its way although the log has gone on: the server writes expiries unguarded, and one can overtake it.
        const isForgotten = decision.kind === 'forgotten' || (isRefused && !isComplete(entity.recent));
        if (isForgotten || doubtful !== undefined) {
          const asked = await probe(requester, agent.name, command.commandId);
          if (asked.kind === 'taken') return this.#recall(command, asked.sequence);
          if (asked.kind === 'unknown') {
            if (isHopeless()) return unreachable(command, 'the stream did not say which commands it holds');
            await clock.sleep(pause(clock, unreached, MAX_PAUSE_MS));
            continue;
          }
          doubtful = undefined;
        }
        if (decision.kind === 'attempt') attempt = decision.attempt;
        else if (decision.kind === 'forgotten') return decidedBefore(command, false);
        else if (queued === undefined || !decision.isVerdict) return this.#refuse(command, decision);
        else attempt = prepareRecord(agent, entity, command, decision.outcome);
      }

      // The sequence that the publish expects may be another message's by now.
      if (seenAt < this.#forgottenAt) continue;
      const sentAt = ++this.#moment;
      const publishedAt = clock.monotonic();
      const result = await publishCommit(requester, agent, attempt.message);
      onPublish?.(action, result.kind, clock.monotonic() - publishedAt);
      if (result.kind === 'stored') {
        const after = attempt.entityAt(result.sequence);
        this.#remember(entityId, { entity: after, asOf: sentAt }, sentAt);
        const { data, event, kind } = attempt.message.entry;
        if (kind !== 'record') onCommit?.(entityId, event, after, data);
        return attempt.outcome;
      }
      this.#cache.delete(entityId);
      switch (result.kind) {
        case 'duplicate':
          return this.#recall(command, result.sequence);
        case 'lost_race':
          known = Math.max(known, result.last ?? 0);
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
          doubtful = { attempt, on: entity };
          await clock.sleep(pause(clock, ++unreached, MAX_PAUSE_MS));
          break;
      }
    }
  }

  /**
   * Moves the entity's mark, so that no durable command up to this place in the queue is decided any more. Never rejects.
   * @returns why it does not stand there; undefined: it does
   */
  moveMark(entityId: string, { sequence, storedAt }: QueuePlace): Promise<string | undefined> {
    const place = { sequence, storedAt };
    return this.#mutex.run(entityId, async () => {
      const { agent, clock, requester } = this.#options;
      for (let races = 1; races <= MAX_RACES; races++) {
        const look = await this.#look(entityId, true);
        if (look.kind === 'unavailable') return look.why;
        if (isMarked(place, look.value.entity.mark)) return undefined;
        const message = prepareMark(entityId, look.value.entity, place);
        const sentAt = ++this.#moment;
        const result = await publishCommit(requester, agent, message);
        this.#cache.delete(entityId);
        if (result.kind === 'stored') {
          const entity = entityAfter(agent, message.entry, result.sequence);
          this.#remember(entityId, { entity, asOf: sentAt }, sentAt);
          return undefined;
        }
        if ('why' in result) return result.why;
        await clock.sleep(pause(clock, races, MAX_RACE_PAUSE_MS));
      }
      return 'other writers were first';
    });
  }

  /** Ends the lease of an entity if the server ought to have done so. Never rejects. */
  endLostLease(entityId: string): Promise<void> {
    return this.#mutex.run(entityId, async () => {
      const look = await this.#look(entityId, true);
      if (look.kind === 'unavailable') return;
      const { entity } = look.value;
      const { lease } = entity;
      if (lease === undefined || !isLost(lease, this.#options.serverNow())) return;
      await endLostLease(this.#options, entityId, { ...entity, lease });
      this.#cache.delete(entityId);
    });
  }

  /** @param since the moment at which it was asked for or sent */
  #remember(entityId: string, seen: KnownEntity, since: number): void {
    if (since > this.#forgottenAt) this.#cache.set(entityId, seen);
  }

  /** Whether the server may have ended a lease since the entity was seen. */
  #mayHaveEnded(lease: StandingLease | undefined): boolean {
    return lease !== undefined && lease.endsAt <= this.#options.serverNow();
  }

  /** @param least the entity's last message is at this sequence, or behind it */
  async #look(entityId: string, askLeader: boolean, least = 0): Promise<ReadResult<KnownEntity>> {
    const { reader } = this.#options;
    const sentAt = ++this.#moment;
    const read = await reader.entity(entityId, askLeader);
    if (read.kind === 'unavailable') return read;
    // A server that leads no more answers, for a moment, with what it knew. Nothing is remembered of it: should the log be
    // another one by now, the next command reads it as it is.
    if (read.value.sequence < least) {
      this.#cache.delete(entityId);
      return { kind: 'unavailable', why: 'the server that answers lags behind' };
    }
    // A follower may answer with something older than the question.
    const asOf = askLeader || reader.alwaysAuthoritative ? sentAt : 0;
    const value = { entity: read.value, asOf };
    this.#remember(entityId, value, sentAt);
    return { kind: 'read', value };
  }

  /**
   * The first outcome of a command that the stream knows to hold. Of a lease commit the message may be gone, but the
   * entity, as the leader has it, remembers the outcome.
   */
  async #recall(command: Command, sequence: number): Promise<StoreOutcome> {
    const { agent, clock } = this.#options;
    let known: RecentCommand | undefined;
    for (let tries = 1; agent.lease !== undefined; tries++) {
      const look = await this.#look(command.entityId, true);
      if (look.kind === 'read') {
        known = findCommand(look.value.entity.recent, command.digest);
        break;
      }
      if (this.#stopped) return { kind: 'abandoned' };
      await clock.sleep(pause(clock, tries, MAX_PAUSE_MS));
    }
    return await this.#replay(command, known ?? { body: '', version: 0, sequence });
  }

  #replay(command: Command, earlier: EarlierCommand): Promise<StoreOutcome> {
    return firstOutcome(this.#options, command, earlier, () => this.#stopped);
  }

  #refuse({ action, entityId }: Command, { outcome, defect: found }: Refused): StoreOutcome {
    if (found !== undefined) {
      this.#options.onDefect(action, found.payload.reason, found.cause);
      // The next try begins with what the log says.
      this.#cache.delete(entityId);
    }
    return outcome;
  }
}

/** Whether a log still stands where it stood. After a restore, the sequence of a message can be that of another one. */
function isSame(one: Entity, other: Entity): boolean {
  return one.sequence === other.sequence && one.version === other.version && one.recent.text === other.recent.text;
}
