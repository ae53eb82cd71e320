import { HeaderBlock } from '../headers.ts';
import { EMPTY, type Wire } from '../message.ts';
import type { Cancel } from '../time.ts';
import type { Pin } from './pin.ts';
import type { Surroundings } from './surroundings.ts';

const NS_PER_MS = 1_000_000;

/** A request for messages that waits. */
export interface Pull {
  readonly reply: string;
  readonly noWait: boolean;
  /** Milliseconds since the epoch; 0: never. */
  readonly expires: number;
  readonly heartbeatMs: number;
  heartbeatAt: number;
  /** How many messages are still to come. */
  left: number;
  delivered: number;
  /** How many bytes; 0: any. */
  bytes: number;
  /** Of a pinned group. */
  pin: string;
  readonly group: string;
}

export interface PullRequest {
  batch?: number;
  expires?: number;
  no_wait?: boolean;
  idle_heartbeat?: number;
  max_bytes?: number;
  group?: string;
  id?: string;
  min_pending?: number;
  min_ack_pending?: number;
}

/** Undefined for a body that is no request. */
export function parsePull(text: string): PullRequest | undefined {
  const body = text.trim();
  if (body === '') return { batch: 1 };
  if (!body.startsWith('{')) return { batch: /^\d+$/.test(body) ? Number(body) : 1 };
  try {
    return JSON.parse(body) as PullRequest;
  } catch {
    return undefined;
  }
}

export function newPull(reply: string, request: PullRequest, now: number): Pull {
  const { batch = 0, expires = 0, group = '', id = '', idle_heartbeat: heartbeat = 0 } = request;
  const heartbeatMs = heartbeat / NS_PER_MS;
  return {
    reply,
    noWait: request.no_wait === true,
    expires: expires === 0 ? 0 : now + expires / NS_PER_MS,
    heartbeatMs,
    heartbeatAt: now + heartbeatMs,
    left: batch,
    delivered: 0,
    bytes: request.max_bytes ?? 0,
    pin: id,
    group,
  };
}

export interface PullQueueOptions {
  around: Surroundings;
  pin: Pin;
  /** How long a pin lasts; undefined for a consumer that pins nobody. */
  pinMs: () => number | undefined;
  /** Where the consumer is, for heartbeats. */
  place: () => { delivery: number; next: number };
  /** Whether somebody looks after it. */
  isLed: () => boolean;
  /** Whether something is on its way to a pull, and tells its end behind that. */
  tellsLater: (pull: Pull) => boolean;
}

/** The pulls of a consumer, in the order in which they are served. */
export class PullQueue {
  readonly #options: PullQueueOptions;
  #pulls: Pull[] = [];
  #cancel: Cancel = () => {};

  constructor(options: PullQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#pulls.length;
  }

  /** How many messages they ask for. */
  get wanted(): number {
    return this.#pulls.reduce((sum, { left }) => sum + left, 0);
  }

  add(pull: Pull): void {
    this.#pulls.push(pull);
  }

  /** Forgets all pulls. @returns where they are to be answered */
  clear(): string[] {
    this.#cancel();
    return this.#pulls.splice(0).map(({ reply }) => reply);
  }

  /** The pull that gets a message of so many bytes; those that cannot get it are told so. */
  next(size: number): Pull | undefined {
    const { around, pin, pinMs } = this.#options;
    const { hasInterest, time } = around;
    const forMs = pinMs();
    const needsPin = forMs !== undefined && pin.id === '';
    let cycled = 0;
    for (let pull = this.#pulls[0]; pull !== undefined; pull = this.#pulls[0]) {
      if (pull.expires !== 0 && time.now >= pull.expires) {
        this.#end(pull, '408 Request Timeout');
        continue;
      }
      if (forMs !== undefined && pull.pin !== '' && (needsPin || pull.pin !== pin.id)) {
        this.#drop(pull, '423 Nats-Wrong-Pin-Id');
        continue;
      }
      if (forMs !== undefined && !needsPin && pull.pin === '') {
        this.#cycle();
        if (++cycled >= this.#pulls.length) return undefined;
        continue;
      }
      const isNewlyPinned = forMs !== undefined && pull.pin === '';
      if (isNewlyPinned) pull.pin = pin.assign(pull.group, forMs);
      if (pull.bytes > 0 && size > pull.bytes) {
        this.#drop(pull, '409 Message Size Exceeds MaxBytes');
        if (isNewlyPinned) pin.free();
        continue;
      }
      if (pull.bytes > 0) {
        pull.bytes -= size;
        if (pull.bytes === 0) pull.left = 1;
      }
      if (hasInterest(pull.reply)) return this.#serve();
      this.#remove(pull);
    }
    return undefined;
  }

  /** Ends the pulls whose time is over, or that nobody listens for. @param isEnd nothing more is there to deliver */
  look(isEnd: boolean): void {
    const { hasInterest, send, time } = this.#options.around;
    let soonest = Infinity;
    for (const pull of this.#pulls.slice()) {
      const { delivered, expires, heartbeatMs, noWait, reply } = pull;
      if (expires !== 0 && time.now >= expires) this.#end(pull, '408 Request Timeout');
      else if (isEnd && noWait && this.#options.tellsLater(pull)) this.#remove(pull);
      else if (isEnd && noWait && (expires === 0 || delivered > 0)) {
        send(statusMessage(reply, '404 No Messages'));
        this.#remove(pull);
      } else if (!hasInterest(reply)) this.#remove(pull);
      else {
        if (heartbeatMs > 0) {
          if (time.now >= pull.heartbeatAt) this.#beat(pull);
          soonest = Math.min(soonest, pull.heartbeatAt);
        }
        if (expires !== 0) soonest = Math.min(soonest, expires);
      }
    }
    this.#cancel();
    if (soonest === Infinity) return;
    this.#cancel = time.at(soonest, () => {
      if (this.#options.isLed()) this.look(true);
    });
  }

  /** Takes one message off the first. */
  #serve(): Pull | undefined {
    const first = this.#pulls.shift();
    if (first === undefined) return undefined;
    first.delivered++;
    first.left--;
    if (first.left > 0) this.#pulls.push(first);
    if (first.heartbeatMs > 0) first.heartbeatAt = this.#options.around.time.now + first.heartbeatMs;
    return first;
  }

  #cycle(): void {
    const first = this.#pulls.shift();
    if (first !== undefined) this.#pulls.push(first);
  }

  #end(pull: Pull, status: string): void {
    if (this.#options.tellsLater(pull)) this.#remove(pull);
    else this.#drop(pull, status);
  }

  #drop(pull: Pull, status: string): void {
    this.#options.around.send(statusMessage(pull.reply, status, pull));
    this.#remove(pull);
  }

  #remove(pull: Pull): void {
    this.#pulls = this.#pulls.filter((each) => each !== pull);
  }

  #beat(pull: Pull): void {
    const { around, place } = this.#options;
    const { delivery, next } = place();
    const lines: [string, string][] = [
      ['Nats-Last-Consumer', String(delivery - 1)],
      ['Nats-Last-Stream', String(next - 1)],
    ];
    pull.heartbeatAt = around.time.now + pull.heartbeatMs;
    const headers = HeaderBlock.of(lines, '100 Idle Heartbeat');
    around.send({ subject: pull.reply, reply: '', headers, data: EMPTY });
  }
}

/** A message without a body that says what became of a pull. */
export function statusMessage(reply: string, status: string, pull?: Pick<Pull, 'left' | 'bytes'>): Wire {
  const lines: [string, string][] =
    pull === undefined
      ? []
      : [
          ['Nats-Pending-Messages', String(pull.left)],
          ['Nats-Pending-Bytes', String(pull.bytes)],
        ];
  return { subject: reply, reply: '', headers: HeaderBlock.of(lines, status), data: EMPTY };
}
