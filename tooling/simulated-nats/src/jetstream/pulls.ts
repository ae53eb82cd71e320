import { HeaderBlock } from '../headers.ts';
import { EMPTY, type Wire } from '../message.ts';

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

/** The pulls of a consumer, in the order in which they are served. */
export class PullQueue {
  #pulls: Pull[] = [];

  get length(): number {
    return this.#pulls.length;
  }

  get first(): Pull | undefined {
    return this.#pulls[0];
  }

  get all(): readonly Pull[] {
    return this.#pulls;
  }

  add(pull: Pull): void {
    this.#pulls.push(pull);
  }

  /** Puts the first behind the others. */
  cycle(): void {
    const first = this.#pulls.shift();
    if (first !== undefined) this.#pulls.push(first);
  }

  /** Takes one message off the first. */
  serve(): Pull | undefined {
    const first = this.#pulls.shift();
    if (first === undefined) return undefined;
    first.delivered++;
    first.left--;
    if (first.left > 0) this.#pulls.push(first);
    return first;
  }

  remove(pull: Pull): void {
    this.#pulls = this.#pulls.filter((each) => each !== pull);
  }

  clear(): void {
    this.#pulls = [];
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
