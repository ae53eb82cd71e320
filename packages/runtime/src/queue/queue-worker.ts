/**
 * Works off the messages that a feed hands out: in order for each key, all keys at once, with further tries for faults, and a
 * dead letter for what no try could do.
 *
 * A message is done only after its work is, or after it is stored as a dead letter.
 */
import type { Clock } from '../clock.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import { Lanes, type Lane } from './lanes.ts';
import { PinnedFeed, type PinnedFeedOptions } from './pinned-feed.ts';
import { nextPause, type RetryPolicy } from './retry-policy.ts';
import { QueueMetrics } from '../telemetry/queue-metrics.ts';
import type { QueuedMessage, Tenure } from './tenure.ts';

/** Delivered and not done; what stands behind a message that is tried again counts as well. */
export const MAX_IN_HAND = 10_000;
/** Messages taken in ahead of those that are tried, for each that may be tried at once. */
const AHEAD = 2;
/** Bytes of messages in memory after which no more are taken in. */
const MAX_BYTES = 33_554_432;
/** Between two tries to store a dead letter, in milliseconds. */
const DEAD_LETTER_PAUSE_MS = 500;

/** What came of one try. `conclude` is called when the message is done with that. */
export type Verdict =
  | { kind: 'done'; conclude?: () => void }
  | Fault

  /** It was another's to do by then; what was begun has not happened. */
  | { kind: 'not_mine' };

export interface Fault {
  kind: 'fault';
  code: string;
  reason: string;
  /** `hopeless`: no further try would make it better; `outage`: the message has no part in it. Else it may be the message's. */
  nature?: 'hopeless' | 'outage';
  conclude?: () => void;
}

export interface QueueStats {
  /** Whether this replica is the one that works. */
  active: boolean;
  /** Stored and not delivered yet, as far as this replica knows. */
  pending: number;
  /** Delivered and not done. */
  inFlight: number;
  /** Of those, the ones that wait for a further try, or behind one that does. */
  retrying: number;
  done: number;
  retried: number;
  redelivered: number;
  dead: number;
}

export interface QueueWorkerOptions extends Omit<PinnedFeedOptions, 'room' | 'onMessage'> {
  /** What it goes by in metrics. */
  name: string;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  /** Tries at once. */
  atOnce: number;
  retry: RetryPolicy;
  deadLetters: Pick<DeadLetters, 'add'>;
  /** What has to be in order; undefined: nothing. */
  keyOf: (message: QueuedMessage) => string | undefined;
  attempt: (message: QueuedMessage, tenure: Tenure) => Promise<Verdict>;
  onRetry: (subject: string, reason: string, tries: number) => void;
  onDead: (subject: string, reason: string) => void;
}

export class QueueWorker {
  readonly #options: QueueWorkerOptions;
  readonly #feed: PinnedFeed;
  readonly #lanes: Lanes;
  readonly #underWay = new Set<Promise<void>>();
  readonly #metrics: QueueMetrics;
  #bytes = 0;
  #done = 0;
  #retried = 0;
  #dead = 0;

  constructor(options: QueueWorkerOptions) {
    this.#options = options;
    this.#lanes = new Lanes(options.atOnce);
    this.#metrics = new QueueMetrics(options.name);
    this.#feed = new PinnedFeed({
      ...options,
      room: () => this.#room(),
      onMessage: (message, tenure) => this.#take(message, tenure),
    });
  }

  start(): void {
    this.#feed.start();
  }

  stats(): QueueStats {
    return {
      active: this.#feed.isActive,
      pending: this.#feed.isActive ? this.#feed.pending : 0,
      inFlight: this.#feed.inHand,
      retrying: this.#lanes.resting,
      done: this.#done,
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
    return AHEAD * this.#options.atOnce - (this.#lanes.size - this.#lanes.resting);
  }

  #take(message: QueuedMessage, tenure: Tenure): void {
    const { keyOf, onFault } = this.#options;
    const key = keyOf(message) ?? `\0${message.sequence}`;
    this.#bytes += message.data.length;
    const work: Promise<void> = this.#lanes
      .add(key, (lane) => this.#work(message, tenure, lane).catch(onFault))
      .finally(() => {
        this.#bytes -= message.data.length;
        this.#underWay.delete(work);
      });
    this.#underWay.add(work);
  }

  async #work(message: QueuedMessage, tenure: Tenure, lane: Lane): Promise<void> {
    const { clock, onRetry, retry, serverNow } = this.#options;
    let counted = 0;
    for (let tries = 1; await tenure.certain();) {
      const verdict = await lane.attempt(() => this.#try(message, tenure));
      if (verdict.kind === 'not_mine') {
        // Of one that stops; else it may still be this one's.
        if (tenure.isCurrent()) return;
        continue;
      }
      if (verdict.kind === 'done') return this.#conclude(message, 'done', verdict.conclude);
      const { code, conclude, nature, reason } = verdict;
      if (nature !== 'outage') counted++;
      const ageMs = serverNow() - message.storedAt;
      const pauseMs = nature === 'hopeless' ? undefined : nextPause(retry, clock, { ageMs, counted, tries });
      if (pauseMs === undefined) {
        if (await this.#bury(message, { code, reason, tries }, tenure)) this.#conclude(message, 'dead', conclude);
        return;
      }
      this.#retried++;
      this.#metrics.retried();
      onRetry(message.subject, reason, tries++);
      await lane.rest(() => clock.sleep(pauseMs, tenure.over));
    }
  }

  async #try(message: QueuedMessage, tenure: Tenure): Promise<Verdict> {
    if (!tenure.isCurrent()) return { kind: 'not_mine' };
    try {
      return await this.#options.attempt(message, tenure);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // That the server does not answer is not the message's fault.
      return error instanceof NoAnswerError
        ? { kind: 'fault', code: 'unavailable', reason, nature: 'outage' }
        : { kind: 'fault', code: 'failed', reason };
    }
  }

  #conclude(message: QueuedMessage, how: 'done' | 'dead', conclude: (() => void) | undefined): void {
    conclude?.();
    this.#done++;
    this.#feed.done(message.sequence);
    const { inHand: inFlight, pending } = this.#feed;
    this.#metrics.left(how, this.#options.serverNow() - message.storedAt, { inFlight, pending });
  }

  /** @returns false when it is another replica's by now */
  async #bury(
    message: QueuedMessage,
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
    onDead(message.subject, death.reason);
    return true;
  }
}
