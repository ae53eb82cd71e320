/**
 * Executes the durable commands of an agent, by the same path as requests, and takes each out of its stream when its outcome is
 * committed or told.
 *
 * Invariants
 * - Commands on one entity are executed in the order in which they were stored, across replicas and retries.
 * - A command leaves the stream only after its outcome is in the entity's log, or told if nothing changed, or after it is stored
 *   as a dead letter.
 * - What is tried again is a fault and nothing else: a conflict, a denial or the refusal of a rule is an outcome.
 */
import { commandStream, HEADERS, queuedCommandWildcard } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import type { StoreOutcome } from '../core/outcome.ts';
import type { CommandIntake } from '../intake/command-intake.ts';
import { readCommandHeaders, type ReadHeaders } from '../intake/command-headers.ts';
import type { RequestPort } from '../nats/requester.ts';
import { entityIdOf, type DeadLetters } from './dead-letters.ts';
import { Lanes, type Lane } from './lanes.ts';
import { PinnedFeed } from './pinned-feed.ts';
import { nextPause, type RetryPolicy } from './retry-policy.ts';
import type { QueuedMessage, Tenure } from './tenure.ts';

/** The consumer of the stream, one for all replicas. */
export const EXECUTOR = 'executor';
/** Delivered and not done; what stands behind a command that is tried again counts as well. */
export const MAX_IN_HAND = 10_000;
/** Tries at once. */
const MAX_AT_ONCE = 256;
/** Commands taken in ahead of those that are tried. */
const AHEAD = 512;
/** Bytes of commands in memory after which no more are taken in. */
const MAX_BYTES = 33_554_432;
/** Between two tries to store a dead letter, in milliseconds. */
const DEAD_LETTER_PAUSE_MS = 500;
/** What no later try of this version of the agent would make better. */
const HOPELESS = new Set(['invalid_command', 'unknown_action']);

export interface QueueStats {
  /** Whether this replica is the one that executes. */
  active: boolean;
  /** Stored and not delivered yet, as far as this replica knows. */
  pending: number;
  /** Delivered and not done. */
  inFlight: number;
  /** Of those, the ones that wait for a further try, or behind one that does. */
  retrying: number;
  executed: number;
  retried: number;
  redelivered: number;
  dead: number;
}

export interface DurableCommandsOptions {
  agent: string;
  connection: NatsConnection;
  requester: RequestPort;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  inboxPrefix: string;
  intake: Pick<CommandIntake, 'decideQueued' | 'concludeQueued'>;
  deadLetters: Pick<DeadLetters, 'add'>;
  retry: RetryPolicy;
  onRetry: (action: string, reason: string, tries: number) => void;
  onDead: (action: string, reason: string) => void;
  onFault: (error: unknown) => void;
}

export class DurableCommands {
  readonly #options: DurableCommandsOptions;
  readonly #feed: PinnedFeed;
  readonly #lanes = new Lanes(MAX_AT_ONCE);
  readonly #underWay = new Set<Promise<void>>();
  #bytes = 0;
  #executed = 0;
  #retried = 0;
  #dead = 0;

  constructor(options: DurableCommandsOptions) {
    this.#options = options;
    const { agent, clock, connection, inboxPrefix, onFault, requester } = options;
    this.#feed = new PinnedFeed({
      connection,
      requester,
      clock,
      inboxPrefix,
      stream: commandStream(agent),
      consumer: EXECUTOR,
      filter: queuedCommandWildcard(agent),
      isWorkQueue: true,
      room: () => this.#room(),
      onMessage: (message, tenure) => this.#take(message, tenure),
      onFault,
    });
  }

  start(): void {
    this.#feed.start();
  }

  disconnected(): void {
    this.#feed.disconnected();
  }

  stats(): QueueStats {
    return {
      active: this.#feed.isActive,
      pending: this.#feed.isActive ? this.#feed.pending : 0,
      inFlight: this.#feed.inHand,
      retrying: this.#lanes.resting,
      executed: this.#executed,
      retried: this.#retried,
      redelivered: this.#feed.redelivered,
      dead: this.#dead,
    };
  }

  /** Takes nothing more in; resolves when no try is under way. Another replica goes on. */
  async stop(): Promise<void> {
    await this.#feed.stop();
    await Promise.all(this.#underWay);
  }

  #room(): number {
    if (this.#bytes >= MAX_BYTES || this.#lanes.size >= MAX_IN_HAND) return 0;
    return AHEAD - (this.#lanes.size - this.#lanes.resting);
  }

  #take(message: QueuedMessage, tenure: Tenure): void {
    const { onFault } = this.#options;
    // What names no entity has no order to keep.
    const key = entityIdOf(message.data) ?? `\0${message.sequence}`;
    this.#bytes += message.data.length;
    const work: Promise<void> = this.#lanes
      .add(key, (lane) => this.#execute(message, tenure, lane).catch(onFault))
      .finally(() => {
        this.#bytes -= message.data.length;
        this.#underWay.delete(work);
      });
    this.#underWay.add(work);
  }

  async #execute(message: QueuedMessage, tenure: Tenure, lane: Lane): Promise<void> {
    const { agent, clock, intake, onRetry, retry, serverNow } = this.#options;
    const action = message.subject.slice(message.subject.lastIndexOf('.') + 1);
    const headers = headersOfQueued(agent, message);
    for (let tries = 1; await tenure.certain(); tries++) {
      const started = performance.now();
      const outcome = await lane.attempt(() => decideOnce(intake, action, message, headers, tenure));
      if (outcome.kind === 'abandoned' || outcome.kind === 'held') {
        // Of an agent that stops.
        if (tenure.isCurrent()) return;
        tries--;
        continue;
      }
      const fault = faultOf(outcome);
      if (fault === undefined) return this.#conclude(message, action, headers, outcome, started);
      const isHopeless = HOPELESS.has(fault.code);
      const pauseMs = isHopeless ? undefined : nextPause(retry, clock, tries, serverNow() - message.storedAt);
      if (pauseMs === undefined) {
        if (!(await this.#bury(message, action, { ...fault, tries }, tenure))) return;
        return this.#conclude(message, action, headers, outcome, started);
      }
      this.#retried++;
      onRetry(action, fault.reason, tries);
      await lane.rest(() => clock.sleep(pauseMs, tenure.over));
    }
  }

  #conclude(
    message: QueuedMessage,
    action: string,
    headers: ReadHeaders,
    outcome: StoreOutcome,
    started: number,
  ): void {
    const inbox = message.headers?.get(HEADERS.outcomeTo) ?? '';
    this.#options.intake.concludeQueued(action, headers, outcome, { inbox, started });
    this.#executed++;
    this.#feed.done(message.sequence);
  }

  /** @returns false when it is another replica's by now */
  async #bury(
    message: QueuedMessage,
    action: string,
    death: { code: string; reason: string; tries: number },
    tenure: Tenure,
  ): Promise<boolean> {
    const { clock, deadLetters, onDead, onFault, serverNow } = this.#options;
    for (;;) {
      try {
        const why = await deadLetters.add(message, { ...death, at: serverNow() });
        if (why === undefined) break;
        onFault(new Error(`a dead letter could not be stored, trying again: ${why}`));
      } catch (error) {
        onFault(error);
      }
      await clock.sleep(DEAD_LETTER_PAUSE_MS, tenure.over);
      if (!(await tenure.certain())) return false;
    }
    this.#dead++;
    onDead(action, death.reason);
    return true;
  }
}

/** One try. What throws is a fault like any other. */
async function decideOnce(
  intake: DurableCommandsOptions['intake'],
  action: string,
  message: QueuedMessage,
  headers: ReadHeaders,
  tenure: Tenure,
): Promise<StoreOutcome> {
  if (!tenure.isCurrent()) return { kind: 'abandoned' };
  return await intake.decideQueued(action, message.data, headers, () => tenure.isCurrent());
}

/** Why an outcome is none; undefined for one. */
function faultOf(outcome: StoreOutcome): { code: string; reason: string } | undefined {
  if (outcome.kind === 'unavailable') return outcome;
  return outcome.kind === 'rejected' && HOPELESS.has(outcome.code) ? outcome : undefined;
}

/** Each delivery of a command must have the same id, also one whose sender gave it none. */
function headersOfQueued(agent: string, { headers, sequence, storedAt }: QueuedMessage): ReadHeaders {
  const read = readCommandHeaders(headers === undefined ? {} : { headers });
  if ((headers?.get(HEADERS.commandId) ?? '') !== '') return read;
  const commandId = `${commandStream(agent)}-${sequence}-${storedAt}`;
  return {
    ...read,
    commandId,
    lines: read.lines.map(([name, value]) => [name, name === HEADERS.commandId ? commandId : value]),
  };
}
