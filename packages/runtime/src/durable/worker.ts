/**
 * Works off the messages of a consumer: one after the other for each entity, all entities at once. Faults are tried again, and
 * what no try could do becomes a dead letter.
 *
 * Invariants
 * - Messages of one entity are handled in the order of the stream, each after the one before it is done.
 * - A message is removed only after its work is done, or after its dead letter is stored.
 * - What is in hand when a run is over, and not being tried, is put back. The rest is finished: a second worker is harmless,
 *   because whoever comes second finds in the log what the first has done.
 * - Work at a takeover does not grow with what is stored.
 */
import type { Clock } from '../clock.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import { QueueMetrics } from '../telemetry/queue-metrics.ts';
import { MAX_UNACKNOWLEDGED } from './consumer.ts';
import type { Death } from './dead-letters.ts';
import { identityOf, type Delivery, type QueuedMessage } from './delivery.ts';
import { PullLoop, type PullLoopOptions, type Run } from './pull-loop.ts';
import { nextPause, type RetryPolicy } from './retry-policy.ts';

/** Bytes of messages in memory after which no more are taken in. */
const MAX_BYTES = 33_554_432;
/** Messages of one entity in hand, where more can be found in the stream. */
const MAX_WAITING = 64;
/** Entities that are remembered in a run. */
const MAX_LANES = 20_000;
/** After a look that was not answered, and between two tries to store a dead letter, in milliseconds. */
const PAUSE_MS = 250;
/** Between two looks at what a former worker has left unacknowledged, in milliseconds. */
const GATHER_PAUSE_MS = 100;
/** So long after its delivery a message is not delivered to another worker, in milliseconds, with half of it for the way. */
const ALONE_MS = 750;
/** Longest wait for it once the server says what it is, in milliseconds: longer than its delivery takes on a busy machine. */
const GATHER_MS = 15_000;

/** How long a worker that was delivered what it does not handle leaves the consumer to others, in milliseconds. */
const STEP_ASIDE_MS = 5_000;

/** What came of one try. `conclude` is called before the message is removed. */
export type Verdict =
  | { kind: 'done'; conclude?: () => void }
  | Fault
  /** This worker stops: nothing is known of what was begun. */
  | { kind: 'abandoned' };

export interface Fault {
  kind: 'fault';
  code: string;
  reason: string;
  /** `hopeless`: no further try would make it better; `outage`: the message has no part in it. Else it may be the message's. */
  nature?: 'hopeless' | 'outage';
  conclude?: () => void;
}

/** How a worker knows which message of an entity comes next. */
export type Order =
  /** The stream keeps what is not done, and nothing else: the oldest that it holds of an entity comes next. */
  | {
      kind: 'stored';
      /** @throws NoAnswerError */
      oldest: (entity: string) => Promise<QueuedMessage | undefined>;
      /** Takes a message out of the stream. @throws NoAnswerError */
      remove: (message: QueuedMessage) => Promise<unknown>;
    }
  /** The consumer alone knows what is not done: a new run waits until it holds all that was delivered and not acknowledged. */
  | {
      kind: 'delivered';
      /** How many of them this worker does not hold. @param held how many it holds up to a sequence @throws NoAnswerError */
      missing: (held: (sequence: number) => number) => Promise<number>;
    };

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

export interface WorkerOptions extends Omit<PullLoopOptions, 'room' | 'onRun' | 'onRunOver' | 'onDelivery'> {
  /** What it goes by in metrics. */
  name: string;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  /** Messages in hand, without those that wait for a further try. */
  atOnce: number;
  retry: RetryPolicy;
  order: Order;
  /** The entity whose messages have to be in order. */
  entityOf: (message: QueuedMessage) => string;
  /** Whether this worker knows what to do with a message; one that does not leaves it to others. Default: it does. */
  handles?: (message: QueuedMessage) => boolean;
  attempt: (message: QueuedMessage) => Promise<Verdict>;
  /** Stores a dead letter. @returns why it could not; undefined: it is stored */
  bury: (message: QueuedMessage, death: Death) => Promise<string | undefined>;
  onRetry: (subject: string, reason: string, tries: number) => void;
  onDead: (subject: string, reason: string) => void;
}

/** A message in hand. */
interface Item {
  readonly message: QueuedMessage;
  /** Where it is acknowledged; undefined: it was found in the stream, and not delivered. */
  reply: string | undefined;
  /** Whether this run has delivered it for the first time. */
  readonly isFirst: boolean;
  /** When it was delivered last, by the monotonic clock. */
  takenAt: number;
}

/** The messages of one entity. */
interface Lane {
  readonly entity: string;
  /** In the order of the stream. */
  waiting: Item[];
  /** Whether the first of `waiting`, or else the next delivery of this run, is the oldest that is not done. */
  isChecked: boolean;
  /** Some were delivered and not kept. */
  hasMore: boolean;
  isBusy: boolean;
  /** It waits for a further try. */
  isResting: boolean;
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #loop: PullLoop;
  readonly #metrics: QueueMetrics;
  readonly #lanes = new Map<string, Lane>();
  readonly #inHand = new Map<string, Item>();
  readonly #working = new Set<Promise<void>>();
  #run: Run | undefined;
  /** Whether work may begin in this run. */
  #isOpen = false;
  /** Messages for which there has to be room, so that the work can begin. */
  #missing = 0;
  #bytes = 0;
  /** How often everything was forgotten: what was asked before counts no more. */
  #forgotten = 0;
  /** Messages in lanes that rest. */
  #resting = 0;
  #done = 0;
  #retried = 0;
  #dead = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#metrics = new QueueMetrics(options.name);
    this.#loop = new PullLoop({
      ...options,
      room: () => this.#room(),
      onRun: (run) => this.#begin(run),
      onRunOver: () => this.#putAllBack(),
      onDelivery: (delivery) => this.#take(delivery),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stats(): QueueStats {
    const { isPinned, pending, redelivered } = this.#loop;
    return {
      active: isPinned,
      pending: isPinned ? pending : 0,
      inFlight: this.#inHand.size,
      retrying: this.#resting,
      done: this.#done,
      retried: this.#retried,
      redelivered,
      dead: this.#dead,
    };
  }

  /** Takes nothing more in; resolves when no try is under way. Another worker goes on at once. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    await Promise.all(this.#working);
  }

  /**
   * The stream or its consumer may be another one by now. The places of what is in hand may hold other messages, so none of it
   * is acknowledged, put back, removed or buried. What is being tried comes to its end.
   */
  forget(): void {
    this.#forgotten++;
    this.#inHand.clear();
    this.#bytes = 0;
    this.#loop.endRun();
  }

  #room(): number {
    const { size } = this.#inHand;
    if (this.#bytes >= MAX_BYTES || size >= MAX_UNACKNOWLEDGED) return 0;
    return this.#options.atOnce + this.#missing - (size - this.#resting);
  }

  #begin(run: Run): void {
    const { onFault, order } = this.#options;
    this.#run = run;
    this.#isOpen = order.kind === 'stored';
    if (order.kind === 'delivered') this.#gather(run, order).catch(onFault);
  }

  /** Waits, within bounds, until nothing is missing that an event in hand may have to wait for. */
  async #gather(run: Run, { missing }: Extract<Order, { kind: 'delivered' }>): Promise<void> {
    const { clock } = this.#options;
    const held = (upTo: number): number =>
      [...this.#inHand.values()].filter(({ message }) => message.sequence <= upTo).length;
    let until = clock.monotonic() + GATHER_MS;
    while (!run.over.aborted && clock.monotonic() < until) {
      try {
        this.#missing = Math.max(0, await missing(held));
        if (this.#missing === 0) break;
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error;
        // Without the server nothing is delivered either.
        until = clock.monotonic() + GATHER_MS;
      }
      this.#loop.pull();
      await clock.sleep(GATHER_PAUSE_MS, run.over);
    }
    if (this.#run !== run) return;
    this.#missing = 0;
    this.#isOpen = true;
    for (const lane of this.#lanes.values()) this.#start(lane);
  }

  #take({ isRepeated, message, reply }: Delivery): void {
    const { clock, entityOf, handles = () => true, order } = this.#options;
    const known = this.#inHand.get(identityOf(message));
    if (known !== undefined) {
      Object.assign(known, { reply, takenAt: clock.monotonic() });
      return;
    }
    if (!handles(message)) {
      this.#loop.putBack(reply);
      this.#loop.stepAside(STEP_ASIDE_MS);
      return;
    }
    const lane = this.#laneOf(entityOf(message));
    if (isRepeated) lane.isChecked = false;
    if (order.kind === 'stored' && lane.waiting.length >= MAX_WAITING) lane.hasMore = true;
    // A look will find it.
    if (lane.hasMore) return;
    const item = this.#hold({ message, reply, isFirst: !isRepeated, takenAt: clock.monotonic() });
    const behind = lane.waiting.findLastIndex((other) => other.message.sequence < message.sequence);
    lane.waiting.splice(behind + 1, 0, item);
    if (lane.isResting) this.#resting++;
    this.#start(lane);
  }

  #laneOf(entity: string): Lane {
    const known = this.#lanes.get(entity);
    if (known !== undefined) return known;
    if (this.#lanes.size >= MAX_LANES) {
      for (const [name, { isBusy, waiting }] of this.#lanes) {
        if (!isBusy && waiting.length === 0) this.#lanes.delete(name);
      }
    }
    const lane = { entity, waiting: [], isChecked: false, hasMore: false, isBusy: false, isResting: false };
    this.#lanes.set(entity, lane);
    return lane;
  }

  #hold(item: Item): Item {
    this.#inHand.set(identityOf(item.message), item);
    this.#bytes += item.message.data.length;
    return item;
  }

  #isHeld(item: Item): boolean {
    return this.#inHand.get(identityOf(item.message)) === item;
  }

  #release(item: Item): void {
    if (!this.#isHeld(item)) return;
    this.#inHand.delete(identityOf(item.message));
    this.#bytes -= item.message.data.length;
    this.#loop.pull();
  }

  #putBack(item: Item): void {
    if (item.reply !== undefined && this.#isHeld(item)) this.#loop.putBack(item.reply);
    this.#release(item);
  }

  /** The run is over: what is not being tried is left to the next one, here or elsewhere. */
  #putAllBack(): void {
    this.#run = undefined;
    this.#isOpen = false;
    this.#missing = 0;
    for (const [entity, lane] of this.#lanes) {
      const { isBusy, isResting, waiting } = lane;
      if (isResting) this.#resting -= waiting.length;
      Object.assign(lane, { waiting: [], isChecked: false, hasMore: false });
      if (!isBusy) this.#lanes.delete(entity);
      for (const item of waiting) this.#putBack(item);
    }
  }

  #start(lane: Lane): void {
    if (!this.#isOpen || lane.isBusy) return;
    lane.isBusy = true;
    const work: Promise<void> = this.#workOff(lane)
      .catch(this.#options.onFault)
      .finally(() => this.#working.delete(work));
    this.#working.add(work);
  }

  async #workOff(lane: Lane): Promise<void> {
    for (;;) {
      const run = this.#run;
      if (run === undefined || !this.#isOpen || (lane.waiting.length === 0 && !lane.hasMore)) break;
      try {
        const item = await this.#next(lane);
        if (item !== undefined) await this.#work(item, lane, run).finally(() => this.#release(item));
      } catch (error) {
        if (!(error instanceof NoAnswerError)) this.#options.onFault(error);
        await this.#rest(lane, PAUSE_MS, run);
      }
    }
    lane.isBusy = false;
  }

  /** What comes next of an entity; undefined: not known yet. @throws NoAnswerError */
  async #next(lane: Lane): Promise<Item | undefined> {
    const { order } = this.#options;
    const first = lane.waiting[0];
    if (order.kind === 'delivered' || (lane.isChecked && first !== undefined)) return lane.waiting.shift();
    lane.isChecked = false;
    const forgotten = this.#forgotten;
    const oldest = await order.oldest(lane.entity);
    if (this.#forgotten !== forgotten) return undefined;
    // Others may have come meanwhile, or all may have been put back. What the look has found is the oldest all the same.
    const head = lane.waiting[0];
    if (oldest !== undefined && head !== undefined && identityOf(oldest) === identityOf(head.message)) {
      // Behind a message that was delivered before this run, others may be missing.
      lane.isChecked = head.isFirst;
      return lane.waiting.shift();
    }
    if (oldest !== undefined && (head === undefined || oldest.sequence < head.message.sequence)) {
      return this.#hold({ message: oldest, reply: undefined, isFirst: false, takenAt: 0 });
    }
    if (head === undefined) lane.hasMore = false;
    // It is gone, or whoever answered does not have it yet. If it is not gone, it is delivered again.
    else if (head === first) this.#release(lane.waiting.shift() as Item);
    return undefined;
  }

  async #work(item: Item, lane: Lane, run: Run): Promise<void> {
    const { clock, onRetry, retry, serverNow } = this.#options;
    const { message } = item;
    let counted = 0;
    for (let tries = 1; ; tries++) {
      const verdict = await this.#try(message);
      if (verdict.kind === 'abandoned') return this.#putBack(item);
      const ageMs = serverNow() - message.storedAt;
      if (verdict.kind === 'fault') {
        const { code, nature, reason } = verdict;
        if (nature !== 'outage') counted++;
        const pauseMs = nature === 'hopeless' ? undefined : nextPause(retry, clock, { ageMs, counted, tries });
        if (pauseMs !== undefined) {
          this.#retried++;
          this.#metrics.retried();
          onRetry(message.subject, reason, tries);
          await this.#rest(lane, pauseMs, run);
          if (run.over.aborted) return this.#putBack(item);
          continue;
        }
        if (!(await this.#bury(item, { code, reason, tries }, lane, run))) return this.#putBack(item);
      }
      verdict.conclude?.();
      this.#done++;
      await this.#remove(item, lane, run);
      this.#release(item);
      const how = verdict.kind === 'fault' ? 'dead' : 'done';
      this.#metrics.left(how, ageMs, { inFlight: this.#inHand.size, pending: this.#loop.pending });
      return;
    }
  }

  async #try(message: QueuedMessage): Promise<Verdict> {
    try {
      return await this.#options.attempt(message);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // That the server does not answer is not the message's fault.
      return error instanceof NoAnswerError
        ? { kind: 'fault', code: 'unavailable', reason, nature: 'outage' }
        : { kind: 'fault', code: 'failed', reason };
    }
  }

  /** @returns false when the run was over first, or the message was forgotten */
  async #bury(item: Item, death: Omit<Death, 'at'>, lane: Lane, run: Run): Promise<boolean> {
    const { bury, onDead, onFault, serverNow } = this.#options;
    const { message } = item;
    while (this.#isHeld(item)) {
      try {
        const why = await bury(message, { ...death, at: serverNow() });
        if (why === undefined) {
          this.#dead++;
          onDead(message.subject, death.reason);
          return true;
        }
        onFault(new Error(`a dead letter could not be stored, trying again: ${why}`));
      } catch (error) {
        onFault(error);
      }
      await this.#rest(lane, PAUSE_MS, run);
      if (run.over.aborted) return false;
    }
    return false;
  }

  async #remove(item: Item, lane: Lane, run: Run): Promise<void> {
    const { clock, order } = this.#options;
    // Whoever works now may hold it as well, and would take the acknowledgement for that of an event which it misses.
    const isOld = clock.monotonic() - item.takenAt > ALONE_MS;
    if (order.kind === 'delivered' && run.over.aborted && isOld) return;
    // A look that comes next must not find it.
    const isLookNext = order.kind === 'stored' && !run.over.aborted && (!lane.isChecked || lane.hasMore);
    if (this.#isHeld(item) && item.reply !== undefined && !isLookNext) return this.#loop.acknowledge(item.reply);
    // If it cannot be removed now, whoever finds it answers it from the log, and removes it.
    while (order.kind === 'stored' && this.#isHeld(item)) {
      try {
        await order.remove(item.message);
        return;
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error;
        if (run.over.aborted) return;
        await this.#rest(lane, PAUSE_MS, run);
      }
    }
  }

  /** Waits, or until the run is over. The lane waits with it, and others take its place meanwhile. */
  async #rest(lane: Lane, ms: number, { over }: Run): Promise<void> {
    lane.isResting = true;
    this.#resting += 1 + lane.waiting.length;
    this.#loop.pull();
    await this.#options.clock.sleep(ms, over);
    lane.isResting = false;
    this.#resting -= 1 + lane.waiting.length;
  }
}
