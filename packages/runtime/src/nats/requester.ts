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

/** Several messages that answer one request together. */
export type BatchAnswer = { kind: 'answer'; messages: Msg[] } | Exclude<Answer, { kind: 'answer' }>;

interface Pending {
  /** Takes a message; true when it was the last one. */
  take: (message: Msg) => boolean;
  fail: (answer: Exclude<Answer, { kind: 'answer' }>) => void;
  deadline: number;
}

/** All that readers and publishers need of it. */
export type RequestPort = Pick<Requester, 'request' | 'requestBatch'>;

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
        if (error === null) this.#take(message.subject.slice(this.#inbox.length), message);
      },
    });
    void this.#watchConnection();
  }

  /** @param timeoutMs default: that of the requester; kept to within 100 ms */
  request(subject: string, payload: Uint8Array, headers?: MsgHdrs, timeoutMs = this.timeoutMs): Promise<Answer> {
    return new Promise((resolve) => {
      const take = (message: Msg): boolean => {
        resolve({ kind: 'answer', message });
        return true;
      };
      this.#send(subject, payload, headers, { take, fail: resolve, deadline: this.#clock.monotonic() + timeoutMs });
    });
  }

  /** A request whose answer is a series of messages, up to one with a status, which is not part of it unless it is alone. */
  requestBatch(subject: string, payload: Uint8Array, timeoutMs = this.timeoutMs): Promise<BatchAnswer> {
    return new Promise((resolve) => {
      const messages: Msg[] = [];
      const take = (message: Msg): boolean => {
        const isLast = (message.headers?.code ?? 0) !== 0;
        if (!isLast || messages.length === 0) messages.push(message);
        if (isLast) resolve({ kind: 'answer', messages });
        return isLast;
      };
      this.#send(subject, payload, undefined, { take, fail: resolve, deadline: this.#clock.monotonic() + timeoutMs });
    });
  }

  #send(subject: string, payload: Uint8Array, headers: MsgHdrs | undefined, pending: Pending): void {
    if (this.#closed) return pending.fail({ kind: 'unsent', why: CLOSED });
    const token = (this.#next++).toString(36);
    this.#pending.set(token, pending);
    if (!this.#isSweeping) void this.#sweep();
    try {
      const reply = this.#inbox + token;
      this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
    } catch (error) {
      this.#fail(token, { kind: 'unsent', why: (error as Error).message });
    }
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

  #take(token: string, message: Msg): void {
    if (this.#pending.get(token)?.take(message) === true) this.#pending.delete(token);
  }

  #fail(token: string, answer: Exclude<Answer, { kind: 'answer' }>): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#pending.delete(token);
    pending.fail(answer);
  }

  /** Runs while a request waits for its answer. */
  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    while (this.#pending.size > 0) {
      await this.#clock.sleep(SWEEP_MS, this.#closing.signal);
      const now = this.#clock.monotonic();
      for (const [token, { deadline }] of this.#pending) {
        if (deadline <= now) this.#fail(token, { kind: 'lost', why: 'no answer in time' });
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
    for (const token of this.#pending.keys()) this.#fail(token, { kind: 'lost', why });
  }
}
