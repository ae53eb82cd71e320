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
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import { QueueMetrics } from '../telemetry/queue-metrics.ts';
import { MAX_UNACKNOWLEDGED } from './consumer.ts';
import type { Death } from './dead-letters.ts';
import { identityOf, type Delivery, type QueuedMessage } from './delivery.ts';
import { InHand, type Item } from './in-hand.ts';
import { whileMissing } from './missing.ts';
import { insert, Lanes, type Lane } from './lanes.ts';
import { MIN_BATCH, PullLoop, type Run } from './pull-loop.ts';
import { nextPause } from './retry-policy.ts';
import type { Order, QueueStats, Verdict, WorkerOptions } from './worker-options.ts';

/** Bytes of messages in memory after which no more are taken in. */
const MAX_BYTES = 33_554_432;
/** Messages of one entity in hand, where more can be found in the stream. */
const MAX_WAITING = 64;
/** After a look that was not answered, and between two tries to store a dead letter, in milliseconds. */
const PAUSE_MS = 250;
/** So long after its delivery a message is not delivered to another worker, in milliseconds, with half of it for the way. */
const ALONE_MS = 750;
/** How long a worker that was delivered what it does not handle leaves the consumer to others, in milliseconds. */
const STEP_ASIDE_MS = 5_000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #loop: PullLoop;
  readonly #metrics: QueueMetrics;
  readonly #lanes = new Lanes();
  readonly #inHand = new InHand();
  readonly #working = new Set<Promise<void>>();
  #run: Run | undefined;
  /** Whether work may begin in this run. */
  #isOpen = false;
  /** What the hand may hold while messages are missing: younger ones that are delivered meanwhile must not take their room. */
  #limit = 0;
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
    this.#loop.endRun();
  }

  #room(): number {
    const { bytes, size } = this.#inHand;
    if (bytes >= MAX_BYTES || size >= MAX_UNACKNOWLEDGED) return 0;
    return Math.max(this.#options.atOnce + this.#resting, this.#limit) - size;
  }

  #begin(run: Run): void {
    const { order } = this.#options;
    this.#run = run;
    if (order.kind === 'stored') this.#isOpen = true;
    else void this.#gather(run, order);
  }

  /** Waits, within bounds, until nothing is missing that an event in hand may have to wait for. */
  async #gather(run: Run, { missing }: Extract<Order, { kind: 'delivered' }>): Promise<void> {
    const { clock, onFault } = this.#options;
    const look = (): Promise<number> => missing((sequence) => this.#inHand.upTo(sequence));
    try {
      for await (const count of whileMissing(clock, run.over, look)) {
        this.#limit = this.#inHand.size + count + MIN_BATCH;
        this.#loop.pull();
      }
    } catch (error) {
      onFault(error);
    }
    if (this.#run !== run) return;
    this.#limit = 0;
    this.#isOpen = true;
    for (const lane of this.#lanes) this.#start(lane);
  }

  #take({ isRepeated, message, reply }: Delivery): void {
    const { clock, entityOf, handles = () => true, order } = this.#options;
    const takenAt = clock.monotonic();
    const known = this.#inHand.find(message);
    if (known !== undefined) {
      Object.assign(known, { reply, takenAt });
      return;
    }
    if (!handles(message)) {
      this.#loop.putBack(reply);
      this.#loop.stepAside(STEP_ASIDE_MS);
      return;
    }
    const lane = this.#lanes.of(entityOf(message));
    if (isRepeated) lane.isChecked = false;
    if (order.kind === 'stored' && lane.waiting.length >= MAX_WAITING) lane.hasMore = true;
    // A look will find it.
    if (lane.hasMore) return;
    insert(lane, this.#inHand.add({ message, reply, isFirst: !isRepeated, takenAt }));
    if (lane.isResting) this.#resting++;
    this.#start(lane);
  }

  #release(item: Item): void {
    if (this.#inHand.remove(item)) this.#loop.pull();
  }

  #putBack(item: Item): void {
    if (item.reply !== undefined && this.#inHand.has(item)) this.#loop.putBack(item.reply);
    this.#release(item);
  }

  /** The run is over: what is not being tried is left to the next one, here or elsewhere. */
  #putAllBack(): void {
    this.#run = undefined;
    this.#isOpen = false;
    this.#limit = 0;
    for (const lane of this.#lanes) {
      const items = this.#lanes.reset(lane);
      if (lane.isResting) this.#resting -= items.length;
      for (const item of items) this.#putBack(item);
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
      return this.#inHand.add({ message: oldest, reply: undefined, isFirst: false, takenAt: 0 });
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
    while (this.#inHand.has(item)) {
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
    if (this.#inHand.has(item) && item.reply !== undefined && !isLookNext) return this.#loop.acknowledge(item.reply);
    // If it cannot be removed now, whoever finds it answers it from the log, and removes it.
    while (order.kind === 'stored' && this.#inHand.has(item)) {
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
