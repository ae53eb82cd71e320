/**
 * Request/reply with as little per message as possible: one wildcard inbox for all answers, matched by a token, and one
 * sweep for all time-outs.
 *
 * An answer that does not come is `lost`: the request may or may not have been carried out, and only a look can tell.
 */
import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/nats-core';
import { createInbox } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';

export type Answer =
  | { kind: 'answer'; message: Msg }
  /** No answer in time, or the connection broke; what became of the request is not known. */
  | { kind: 'lost'; why: string }
  /** The request never left: it is certain that nothing happened. */
  | { kind: 'unsent'; why: string };

interface Pending {
  resolve: (answer: Answer) => void;
  deadline: number;
}

/** All that readers and publishers need of it. */
export type RequestPort = Pick<Requester, 'request'>;

const SWEEP_MS = 100;
const CLOSED = 'this side was closed';

export class Requester {
  /** For one request, unless it says otherwise. */
  readonly timeoutMs: number;
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #pending = new Map<string, Pending>();
  readonly #closing = new AbortController();
  #isSweeping = false;
  #next = 0;
  #closed = false;

  constructor(connection: NatsConnection, inboxPrefix: string, clock: Clock, timeoutMs: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.timeoutMs = timeoutMs;
    this.#inbox = `${createInbox(inboxPrefix)}.`;
    this.#subscription = connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#settle(message.subject.slice(this.#inbox.length), { kind: 'answer', message });
      },
    });
    void this.#watchConnection();
  }

  /** @param timeoutMs default: that of the requester; kept to within 100 ms */
  request(subject: string, payload: Uint8Array, headers?: MsgHdrs, timeoutMs = this.timeoutMs): Promise<Answer> {
    if (this.#closed) return Promise.resolve({ kind: 'unsent', why: CLOSED });
    return new Promise((resolve) => {
      const token = (this.#next++).toString(36);
      this.#pending.set(token, { resolve, deadline: this.#clock.monotonic() + timeoutMs });
      if (!this.#isSweeping) void this.#sweep();
      try {
        const reply = this.#inbox + token;
        this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
      } catch (error) {
        this.#settle(token, { kind: 'unsent', why: (error as Error).message });
      }
    });
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.#closing.abort();
    this.#loseAll(CLOSED);
    if (!this.#connection.isClosed()) this.#subscription.unsubscribe();
  }

  #settle(token: string, answer: Answer): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#pending.delete(token);
    pending.resolve(answer);
  }

  /** Runs while a request waits for its answer. */
  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    while (this.#pending.size > 0) {
      await this.#clock.sleep(SWEEP_MS, this.#closing.signal);
      const now = this.#clock.monotonic();
      for (const [token, { deadline }] of this.#pending) {
        if (deadline <= now) this.#settle(token, { kind: 'lost', why: 'no answer in time' });
      }
    }
    this.#isSweeping = false;
  }

  /**
   * Answers of a broken connection never come, nor do those to most requests made while there was none: the client drops
   * what it has not sent when it connects again. Whoever waits is told at once instead of at the deadline.
   */
  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === 'disconnect' || type === 'reconnect') this.#loseAll('the connection to NATS broke');
    }
    this.#loseAll('the connection to NATS is closed');
  }

  #loseAll(why: string): void {
    for (const token of this.#pending.keys()) this.#settle(token, { kind: 'lost', why });
  }
}
