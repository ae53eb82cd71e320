import type { Msg } from '@nats-io/nats-core';
import type { SimulatedTime } from '../simulated-time.ts';
import { isMatch, messageOf } from './messages.ts';
import type { Kept, SimulatedStream } from './stream.ts';

/** Whoever pulls. */
export interface Client {
  /** Whether the server takes it to be there. */
  listens: () => boolean;
  hear: (message: Msg) => void;
}

interface Pull {
  client: Client;
  reply: string;
  left: number;
  maxBytes: number;
  id: string;
}

interface Pending {
  delivery: number;
  at: number;
}

export interface ConsumerOptions {
  time: SimulatedTime;
  stream: SimulatedStream;
  name: string;
  filter: string;
  pinMs: number;
  /** When what was not acknowledged is delivered again, in milliseconds; the last holds for all further times. */
  backoffMs: readonly number[];
}

/** How late the server may look for what to deliver again, in milliseconds. */
const LOOK_LATE_MS = 30;

/**
 * A pull consumer of the policy `pinned_client`, as the server works it: one client is served alone until it has not pulled under
 * its pin for a while; whoever pulls under an old pin is told so when a message comes, and without one, its pull just ends.
 */
export class SimulatedConsumer {
  readonly #options: ConsumerOptions;
  readonly #pending = new Map<number, Pending>();
  /** Further deliveries of each message. */
  readonly #repeats = new Map<number, number>();
  #waiting: Pull[] = [];
  /** To be delivered again. */
  #due: number[] = [];
  #next = 1;
  #delivery = 1;
  #pin = '';
  #pins = 0;
  #forgetPin: () => void = () => {};
  #forgetLook: () => void = () => {};

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  get info(): object {
    const group = this.#pin === '' ? {} : { pinned_client_id: this.#pin };
    const delivered = { consumer_seq: this.#delivery - 1, stream_seq: this.#next - 1 };
    return { delivered, ack_floor: { stream_seq: 0 }, priority_groups: [group] };
  }

  pull(
    client: Client,
    reply: string,
    request: { batch: number; expires: number; id?: string; max_bytes?: number },
  ): void {
    const { batch: left, expires, id = '', max_bytes: maxBytes = Infinity } = request;
    if (this.#pin !== '' && id !== '') {
      if (id !== this.#pin) return status(client, reply, '423 Nats-Pin-Id mismatch');
      this.#keepPin();
    }
    const pull = { client, reply, left, maxBytes, id };
    this.#waiting.push(pull);
    this.#options.time.after(expires / 1_000_000, () => {
      if (this.#drop(pull) && client.listens()) status(client, reply, '408 Request Timeout');
    });
    this.serve();
  }

  ack(sequence: number): void {
    if (sequence >= this.#next) return;
    this.forget(sequence);
    const { stream } = this.#options;
    if (stream.isReplicated) void stream.removeLater(sequence);
    else stream.remove(sequence);
  }

  /** The message has gone. */
  forget(sequence: number): void {
    this.#pending.delete(sequence);
    this.#repeats.delete(sequence);
    this.#due = this.#due.filter((each) => each !== sequence);
  }

  unpin(): void {
    this.#forgetPin();
    this.#pin = '';
    this.serve();
  }

  /** Another server leads it, or the same one anew: nobody waits any more, nobody is pinned. */
  changeLeader(): void {
    this.#waiting = [];
    this.#due = [];
    this.#forgetPin();
    this.#pin = '';
    this.#look();
  }

  /** Delivers what there is to those who wait. */
  serve(): void {
    while (this.#waiting.length > 0) {
      const sequence = this.#due[0];
      const isRepeat = sequence !== undefined;
      const message = isRepeat ? this.#at(sequence) : this.#fresh();
      if (message === undefined) {
        if (!isRepeat) return;
        this.forget(sequence);
        continue;
      }
      const pull = this.#nextPull(message);
      if (pull === undefined) {
        // As the server does, it goes behind the others.
        if (isRepeat) this.#due.push(this.#due.shift() as number);
        return;
      }
      if (isRepeat) this.#due.shift();
      else this.#next = message.sequence + 1;
      this.#deliver(message, pull, isRepeat);
    }
  }

  #at(sequence: number): Kept | undefined {
    return this.#options.stream.first((each) => each.sequence === sequence);
  }

  #fresh(): Kept | undefined {
    const { filter, stream } = this.#options;
    const found = stream.first(({ sequence, subject }) => sequence >= this.#next && isMatch(subject, filter));
    if (found === undefined) this.#next = Math.max(this.#next, stream.last + 1);
    return found;
  }

  #nextPull({ data }: Kept): Pull | undefined {
    const isFree = this.#pin === '';
    for (let cycled = 0; this.#waiting.length > 0;) {
      const pull = this.#waiting[0] as Pull;
      let isNew = false;
      if (isFree && pull.id === '') {
        this.#pin = `pin-${++this.#pins}`;
        pull.id = this.#pin;
        this.#keepPin();
        isNew = true;
      } else if (pull.id === '') {
        this.#waiting.push(this.#waiting.shift() as Pull);
        if (++cycled >= this.#waiting.length) return undefined;
        continue;
      } else if (isFree || pull.id !== this.#pin) {
        this.#waiting.shift();
        status(pull.client, pull.reply, '423 Nats-Wrong-Pin-Id');
        continue;
      }
      if (data.length + 100 > pull.maxBytes) {
        this.#waiting.shift();
        status(pull.client, pull.reply, '409 Message Size Exceeds MaxBytes');
        if (isNew) {
          this.#forgetPin();
          this.#pin = '';
        }
        continue;
      }
      if (!pull.client.listens()) {
        this.#waiting.shift();
        continue;
      }
      this.#waiting.shift();
      if (--pull.left > 0) this.#waiting.push(pull);
      return pull;
    }
    return undefined;
  }

  #deliver(message: Kept, { client }: Pull, isRepeat: boolean): void {
    const { name, stream, time } = this.#options;
    const { data, lines, sequence, storedAt, subject } = message;
    if (isRepeat) this.#repeats.set(sequence, (this.#repeats.get(sequence) ?? 0) + 1);
    const deliveries = isRepeat ? (this.#repeats.get(sequence) ?? 0) + 1 : 1;
    const delivery = this.#delivery++;
    this.#pending.set(sequence, { delivery: this.#pending.get(sequence)?.delivery ?? delivery, at: time.now });
    const left = stream.messages.filter(
      (each) => each.sequence >= this.#next && isMatch(each.subject, this.#options.filter),
    );
    const reply = `$JS.ACK.${stream.name}.${name}.${deliveries}.${sequence}.${delivery}.${storedAt}000000.${left.length}`;
    client.hear(messageOf({ subject, reply, data, lines: [...lines, ['Nats-Pin-Id', this.#pin]] }));
    this.#look();
  }

  #keepPin(): void {
    const { pinMs, time } = this.#options;
    this.#forgetPin();
    this.#forgetPin = time.after(pinMs, () => {
      this.#pin = '';
      this.serve();
    });
  }

  #drop(pull: Pull): boolean {
    const isThere = this.#waiting.includes(pull);
    this.#waiting = this.#waiting.filter((each) => each !== pull);
    return isThere;
  }

  #deadline(sequence: number, { at }: Pending): number {
    const { backoffMs } = this.#options;
    const repeats = Math.min(this.#repeats.get(sequence) ?? 0, backoffMs.length - 1);
    return at + (backoffMs[repeats] as number);
  }

  /** Looks again when the next message is to be delivered again. */
  #look(): void {
    const { time } = this.#options;
    this.#forgetLook();
    const waiting = [...this.#pending].filter(([sequence]) => !this.#due.includes(sequence));
    if (waiting.length === 0) return;
    const next = Math.min(...waiting.map(([sequence, pending]) => this.#deadline(sequence, pending)));
    this.#forgetLook = time.after(next - time.now + time.draw(LOOK_LATE_MS), () => {
      const isOver = ([sequence, pending]: (typeof waiting)[number]): boolean =>
        !this.#due.includes(sequence) && this.#deadline(sequence, pending) <= time.now;
      const over = [...this.#pending].filter(isOver).toSorted(([one], [other]) => one - other);
      const offMs = time.now - (over[0]?.[1].at ?? 0);
      for (const [sequence, pending] of over) {
        pending.at += offMs;
        this.#due.push(sequence);
      }
      this.serve();
      this.#look();
    });
  }
}

function status(client: Client, reply: string, text: string): void {
  client.hear(messageOf({ subject: reply, status: text }));
}
