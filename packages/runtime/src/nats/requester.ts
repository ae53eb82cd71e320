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
export type BatchAnswer = { kind: 'answer'; messages: Msg[] } | Failure;

type Failure = Exclude<Answer, { kind: 'answer' }>;

interface Pending {
  /** Takes a message; true when it was the last one. */
  take: (message: Msg) => boolean;
  /** True when nothing more is expected. */
  fail: (why: Failure) => boolean;
  deadline: number;
}

/** A request that is sent several times with one inbox: an answer to any of its tries counts, however late it comes. */
export interface Exchange {
  /** Sends it, and waits for an answer. One that has come since the last try is taken instead. */
  send(subject: string, payload: Uint8Array, headers: MsgHdrs | undefined, timeoutMs: number): Promise<Answer>;
  end(): void;
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
      this.#send(this.#newToken(), subject, payload, headers, this.#once(take, resolve, timeoutMs));
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
      this.#send(this.#newToken(), subject, payload, undefined, this.#once(take, resolve, timeoutMs));
    });
  }

  exchange(): Exchange {
    const token = this.#newToken();
    const unread: Answer[] = [];
    let resolve: ((answer: Answer) => void) | undefined;
    const settle = (answer: Answer): boolean => {
      pending.deadline = Infinity;
      if (resolve !== undefined) resolve(answer);
      else if (answer.kind === 'answer') unread.push(answer);
      resolve = undefined;
      return false;
    };
    const pending: Pending = { take: (message) => settle({ kind: 'answer', message }), fail: settle, deadline: 0 };
    return {
      send: (subject, payload, headers, timeoutMs) => {
        const early = unread.shift();
        if (early !== undefined) return Promise.resolve(early);
        return new Promise((waiting) => {
          resolve = waiting;
          pending.deadline = this.#clock.monotonic() + timeoutMs;
          this.#send(token, subject, payload, headers, pending);
        });
      },
      end: () => void this.#pending.delete(token),
    };
  }

  #newToken(): string {
    return (this.#next++).toString(36);
  }

  #once(take: Pending['take'], fail: (why: Failure) => void, timeoutMs: number): Pending {
    const failOnce = (why: Failure): boolean => {
      fail(why);
      return true;
    };
    return { take, fail: failOnce, deadline: this.#clock.monotonic() + timeoutMs };
  }

  #send(token: string, subject: string, payload: Uint8Array, headers: MsgHdrs | undefined, pending: Pending): void {
    if (this.#closed) return void pending.fail({ kind: 'unsent', why: CLOSED });
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

  #fail(token: string, why: Failure): void {
    if (this.#pending.get(token)?.fail(why) === true) this.#pending.delete(token);
  }

  /** Runs while a request waits for its answer. */
  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    while (this.#pending.size > 0 && !this.#closed) {
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
