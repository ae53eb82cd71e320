import type { SimulatedTime } from '../simulated-time.ts';
import { errorOf, isMatch, valueOf, type Lines } from './messages.ts';

/** A message as the stream has it. */
export interface Kept {
  subject: string;
  sequence: number;
  lines: Lines;
  data: Uint8Array;
  storedAt: number;
  endsAt: number;
}

/** A message that a replicated stream has taken in and not stored yet. */
interface Proposal {
  subject: string;
  data: Uint8Array;
  lines: Lines;
  told: (answer: object | undefined) => void;
}

/** Of what a sender says to the stream, none of it goes with a message that a schedule sends. */
const OF_SCHEDULE = /^Nats-(?:Schedule|Expected|Msg-Id|Rollup|TTL)/;
/** No schedule fires earlier than so many milliseconds after it was set, and some fire so much later. */
const SCHEDULE_MS = 250;
const SCHEDULE_LATE_MS = 75;

/**
 * A stream in memory: compare-and-set, message ids, times to live, roll-ups and schedules. A replicated one looks for a message
 * id before it looks at what a message expects, another one after it; and it can stall: what it has taken in by then is stored,
 * or lost with its leader, after that.
 */
export class SimulatedStream {
  readonly name: string;
  readonly isReplicated: boolean;
  readonly #time: SimulatedTime;
  readonly #ids = new Map<string, number>();
  #messages: Kept[] = [];
  #proposals: Proposal[] = [];
  #stalledUntil = 0;
  #last = 0;
  onStored: (message: Kept) => void = () => {};
  onRemoved: (message: Kept) => void = () => {};
  /** Whether nobody leads it. */
  isDown: () => boolean = () => false;

  constructor(time: SimulatedTime, name: string, isReplicated: boolean) {
    this.#time = time;
    this.name = name;
    this.isReplicated = isReplicated;
  }

  get last(): number {
    return this.#last;
  }

  get messages(): readonly Kept[] {
    const { now } = this.#time;
    if (this.#messages.some(({ endsAt }) => endsAt <= now)) {
      this.#messages = this.#messages.filter(({ endsAt }) => endsAt > now);
    }
    return this.#messages;
  }

  /** Undefined when no answer will come. */
  publish(subject: string, data: Uint8Array, lines: Lines): Promise<object | undefined> {
    const refusal = this.isReplicated
      ? (this.#repeated(lines) ?? this.#unexpected(subject, lines))
      : (this.#unexpected(subject, lines) ?? this.#repeated(lines));
    if (refusal !== undefined) return Promise.resolve(refusal);
    // No message has the id that is asked for here.
    if (valueOf(lines, 'Nats-Expected-Last-Msg-Id') !== '') {
      return Promise.resolve(errorOf(400, 10070, 'wrong last message id'));
    }
    if (this.#time.now >= this.#stalledUntil && this.#proposals.length === 0) {
      return Promise.resolve({ seq: this.#store(subject, data, lines) });
    }
    return new Promise((told) => this.#proposals.push({ subject, data, lines, told }));
  }

  /** Stores nothing for so long. */
  stall(ms: number): void {
    if (!this.isReplicated) return;
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#time.now + ms);
    this.#time.after(ms, () => this.#settle());
  }

  /** Of what is taken in, a new leader has the first part. */
  changeLeader(): void {
    const kept = Math.floor(this.#time.draw(this.#proposals.length + 1));
    for (const { told } of this.#proposals.splice(kept)) told(undefined);
  }

  first(isWanted: (message: Kept) => boolean): Kept | undefined {
    return this.messages.find(isWanted);
  }

  lastOf(filter: string): Kept | undefined {
    return this.messages.findLast(({ subject }) => isMatch(subject, filter));
  }

  /** @returns whether it was there */
  remove(sequence: number): boolean {
    const message = this.messages.find((each) => each.sequence === sequence);
    if (message === undefined) return false;
    this.#messages = this.#messages.filter((each) => each !== message);
    this.onRemoved(message);
    return true;
  }

  /** As a replicated stream does, some time later. */
  async removeLater(sequence: number): Promise<void> {
    await this.#time.sleep(Math.max(this.#time.draw(5), this.#stalledUntil - this.#time.now));
    this.remove(sequence);
  }

  #settle(): void {
    if (this.#time.now < this.#stalledUntil) return;
    for (const { subject, data, lines, told } of this.#proposals.splice(0)) {
      told({ seq: this.#store(subject, data, lines) });
    }
  }

  #repeated(lines: Lines): object | undefined {
    const id = valueOf(lines, 'Nats-Msg-Id');
    if (id === '') return undefined;
    const first = this.#ids.get(id);
    if (first !== undefined) return { seq: first, duplicate: true };
    const isUnderway = this.#proposals.some((each) => valueOf(each.lines, 'Nats-Msg-Id') === id);
    return isUnderway ? errorOf(409, 10158, 'message id is in process') : undefined;
  }

  #unexpected(subject: string, lines: Lines): object | undefined {
    const expected = valueOf(lines, 'Nats-Expected-Last-Subject-Sequence');
    if (expected === '') return undefined;
    const filter = valueOf(lines, 'Nats-Expected-Last-Subject-Sequence-Subject') || subject;
    const last = this.lastOf(filter)?.sequence ?? 0;
    if (String(last) !== expected) return errorOf(400, 10071, `wrong last sequence: ${last}`);
    const isUnderway = this.#proposals.some((each) => isMatch(each.subject, filter));
    return isUnderway ? errorOf(400, 10164, 'wrong last sequence') : undefined;
  }

  #store(subject: string, data: Uint8Array, lines: Lines): number {
    const { now } = this.#time;
    if (valueOf(lines, 'Nats-Rollup') === 'sub') {
      this.#messages = this.#messages.filter((each) => each.subject !== subject);
    }
    const ttl = /^(\d+)s$/.exec(valueOf(lines, 'Nats-TTL'))?.[1];
    const endsAt = ttl === undefined ? Infinity : now + Number(ttl) * 1_000;
    const message = { subject, sequence: ++this.#last, lines, data, storedAt: Math.floor(now), endsAt };
    this.#messages.push(message);
    const id = valueOf(lines, 'Nats-Msg-Id');
    if (id !== '') this.#ids.set(id, message.sequence);
    const at = /^@at (.+)$/.exec(valueOf(lines, 'Nats-Schedule'))?.[1];
    if (at !== undefined) void this.#fire(message, Date.parse(at));
    this.onStored(message);
    return message.sequence;
  }

  async #fire(schedule: Kept, at: number): Promise<void> {
    const time = this.#time;
    await time.sleep(Math.max(SCHEDULE_MS, at - time.now) + time.draw(SCHEDULE_LATE_MS));
    while (this.isDown() || time.now < this.#stalledUntil) await time.sleep(100);
    const stands = (): boolean => this.messages.includes(schedule);
    if (!stands()) return;
    // What changes the schedule while a replicated stream fires it changes nothing any more.
    if (this.isReplicated) await time.sleep(time.draw(5));
    const { data, lines, sequence, subject } = schedule;
    const own = lines.filter(([name]) => !OF_SCHEDULE.test(name));
    const target = valueOf(lines, 'Nats-Schedule-Target');
    this.#store(target, data, [...own, ['Nats-Scheduler', subject], ['Nats-Schedule-Next', 'purge']]);
    if (stands()) this.remove(sequence);
  }
}
