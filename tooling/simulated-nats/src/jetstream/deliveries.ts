import type { Cancel } from '../time.ts';
import { ConsumerState, floorAfter, type Pending } from './consumer-state.ts';
import type { ConsumerSettings } from './config.ts';
import type { Surroundings } from './surroundings.ts';

const NS_PER_MS = 1_000_000;
/** How much later than due the server looks for what to deliver again. */
const LOOK_MS = 1;

export interface DeliveriesOptions {
  around: Surroundings;
  settings: () => ConsumerSettings;
  isLed: () => boolean;
  /** What the stream has. */
  stream: { readonly firstSequence: number; has(sequence: number): boolean };
  /** Messages are to be delivered again. */
  onDue: () => void;
}

/** What a consumer's leader knows of its deliveries: what clients have in their hands, and what is to be delivered again. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly pending = new Map<number, Pending>();
  /** Further deliveries of each message. */
  readonly redelivered = new Map<number, number>();
  /** To be delivered again, in this order. */
  due: number[] = [];
  /** The sequence of the stream to deliver next. */
  next: number;
  /** The count of the next delivery. */
  count = 1;
  floor: { consumer: number; stream: number };
  #cancelLook: Cancel = () => {};
  #lookAt = 0;

  constructor(options: DeliveriesOptions, start: number) {
    this.#options = options;
    this.next = start;
    this.floor = { consumer: 0, stream: start - 1 };
  }

  /** Takes over what is stored, as a new leader does. */
  read({ ackFloor, delivered, pending, redelivered }: ConsumerState): void {
    this.next = delivered.stream + 1;
    this.count = delivered.consumer + 1;
    this.floor = { ...ackFloor };
    this.pending.clear();
    for (const [sequence, each] of pending) this.pending.set(sequence, { ...each });
    this.redelivered.clear();
    for (const [sequence, count] of redelivered) this.redelivered.set(sequence, count);
    this.due = [];
  }

  /** Begins at a sequence of the stream, with nothing in anybody's hands. */
  startAt(sequence: number): void {
    this.read(new ConsumerState(sequence));
  }

  /** A message goes to a client. */
  deliver(sequence: number): void {
    const { now } = this.#options.around.time;
    const known = this.pending.get(sequence);
    if (known === undefined) this.pending.set(sequence, { delivery: this.count, at: now });
    else known.at = now;
    this.lookAfter(this.#waitFor(sequence) + LOOK_MS, true);
  }

  /** A client is done with a message. @returns the count of its first delivery, if it was in a client's hands */
  done(sequence: number): number | undefined {
    const pending = this.pending.get(sequence);
    this.redelivered.delete(sequence);
    this.dropDue(sequence);
    if (pending === undefined) return undefined;
    this.pending.delete(sequence);
    this.moveFloor(pending.delivery, sequence);
    return pending.delivery;
  }

  dropDue(sequence: number): void {
    if (this.due.includes(sequence)) this.due = this.due.filter((each) => each !== sequence);
  }

  moveFloor(delivery: number, sequence: number): void {
    if (this.pending.size === 0) this.#raiseFloor();
    else if (delivery === this.floor.consumer + 1) {
      this.floor = floorAfter(delivery, sequence, this.next, this.pending);
    }
  }

  /** Delivers a message again after so long. */
  delay(pending: Pending, ms: number): void {
    pending.at = this.#options.around.time.now - (this.#options.settings().ack_wait ?? 0) / NS_PER_MS + ms;
    this.lookAfter(10, true);
  }

  /**
   * Messages of the stream were purged.
   * @param start what is below is gone
   * @param isWider more than what was purged is delivered: each message is looked for
   */
  purged(start: number, isWider: boolean): void {
    const { stream } = this.#options;
    this.next = Math.max(this.next, start);
    if (this.floor.stream < start) {
      this.floor.stream = start - 1;
      for (const [sequence, { delivery }] of this.pending) {
        if (sequence >= start && !(isWider && !stream.has(sequence))) continue;
        this.floor.consumer = Math.max(this.floor.consumer, delivery);
        this.pending.delete(sequence);
        this.redelivered.delete(sequence);
      }
    }
    if (this.pending.size === 0) {
      this.redelivered.clear();
      this.#raiseFloor();
    }
    // What was due is due again when the server next looks.
    this.due = [];
  }

  /** Everything is to be delivered again, in any order. */
  redeliver(): void {
    const { random } = this.#options.around;
    const left = [...this.pending.keys()].filter((sequence) => !this.due.includes(sequence));
    while (left.length > 0) this.due.push(...left.splice(random.below(left.length), 1));
  }

  /** @param onlySooner a look that comes sooner stays */
  lookAfter(ms: number, onlySooner = false): void {
    const { time } = this.#options.around;
    const at = time.now + ms;
    if (onlySooner && this.#lookAt !== 0 && this.#lookAt <= at) return;
    this.#cancelLook();
    this.#lookAt = at;
    this.#cancelLook = time.at(at, () => this.#look());
  }

  stop(): void {
    this.#cancelLook();
    this.#lookAt = 0;
    this.due = [];
  }

  #raiseFloor(): void {
    this.floor = { consumer: this.count - 1, stream: this.next - 1 };
  }

  /** How long a delivery waits for its acknowledgement, in milliseconds. */
  #waitFor(sequence: number): number {
    const { ack_wait: wait = 0, backoff = [] } = this.#options.settings();
    const step = Math.min(Math.max(0, this.redelivered.get(sequence) ?? 0), backoff.length - 1);
    return (backoff[step] ?? wait) / NS_PER_MS;
  }

  /** Looks for what was not acknowledged in time. */
  #look(): void {
    this.#lookAt = 0;
    if (!this.#options.isLed()) return;
    const { now } = this.#options.around.time;
    const { backoff = [], max_deliver: most } = this.#options.settings();
    let next = backoff.length > 0 ? (backoff.at(-1) ?? 0) / NS_PER_MS : this.#waitFor(0) + LOOK_MS;
    const late: number[] = [];
    for (const [sequence, { at, delivery }] of this.pending) {
      if (sequence < this.#options.stream.firstSequence || sequence <= this.floor.stream) {
        this.#forget(sequence, delivery);
        continue;
      }
      const deadline = this.#waitFor(sequence);
      const count = this.redelivered.get(sequence) ?? 0;
      const following = backoff[Math.min(Math.max(0, count) + 1, backoff.length - 1)];
      if (following !== undefined) next = Math.min(next, following / NS_PER_MS);
      const elapsed = now - at;
      if (elapsed < deadline) next = Math.min(next, deadline - elapsed);
      else if (!this.due.includes(sequence) && (most < 1 || count + 1 < most)) late.push(sequence);
    }
    late.sort((one, other) => one - other);
    const offMs = now - (this.pending.get(late[0] ?? 0)?.at ?? now);
    for (const sequence of late) {
      const pending = this.pending.get(sequence);
      if (pending !== undefined) pending.at += offMs;
      this.due.push(sequence);
    }
    if (this.pending.size > 0) this.lookAfter(Math.max(next, LOOK_MS));
    else {
      this.due = [];
      this.#raiseFloor();
    }
    if (late.length > 0) this.#options.onDue();
  }

  /** The message of a delivery is gone. */
  #forget(sequence: number, delivery: number): void {
    this.pending.delete(sequence);
    this.redelivered.delete(sequence);
    this.dropDue(sequence);
    this.floor.stream = Math.max(this.floor.stream, sequence);
    this.floor.consumer = Math.max(this.floor.consumer, delivery);
  }
}
