import type { MsgHdrs } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';

/** Between two looks at whether a tenure is confirmed, in milliseconds. */
const LOOK_MS = 20;

/** A message of a work queue, in the hands of the replica that executes. */
export interface QueuedMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
  /** When it was stored, in milliseconds since the epoch by the server's clock. */
  readonly storedAt: number;
  /** Whether it may have been tried before: by another replica, or by this one in an earlier tenure. */
  readonly isRepeated: boolean;
}

/**
 * The time in which one replica alone works on a queue. The server knows it by the id that it gave; the replica may believe in
 * it only as long as the server has confirmed it: from when the confirmed request was sent.
 */
export class Tenure {
  readonly id: string;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #until: number;

  constructor(id: string, clock: Clock, until: number) {
    this.id = id;
    this.#clock = clock;
    this.#until = until;
  }

  /** Aborted when it is over. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether no other replica can work on the queue now. */
  isCurrent(): boolean {
    return !this.#over.signal.aborted && this.#clock.monotonic() < this.#until;
  }

  /** Resolves when it is current: at once, or when the server confirms it once more; false: it is over. */
  async certain(): Promise<boolean> {
    while (!this.isCurrent()) {
      if (this.#over.signal.aborted) return false;
      await this.#clock.sleep(LOOK_MS, this.#over.signal);
    }
    return true;
  }

  /** @param until monotonic milliseconds */
  extend(until: number): void {
    this.#until = Math.max(this.#until, until);
  }

  end(): void {
    this.#over.abort();
  }
}
