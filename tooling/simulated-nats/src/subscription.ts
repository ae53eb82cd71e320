import { deferred, QueuedIteratorImpl, type Deferred } from '@nats-io/nats-core/internal';
import type { Msg, Subscription, SubscriptionOptions } from '@nats-io/nats-core';
import type { Cancel } from './time.ts';

/** What a subscription needs of its connection. */
export interface SubscriptionHome {
  unsubscribe(subscription: SimulatedSubscription, max?: number): void;
  drain(subscription: SimulatedSubscription): Promise<void>;
}

/** A subscription as the client library has it: with a callback, or to iterate over. */
export class SimulatedSubscription extends QueuedIteratorImpl<Msg> implements Subscription {
  readonly queue: string | undefined;
  readonly closed: Deferred<void | Error> = deferred();
  subject: string;
  sid = 0;
  max: number | undefined;
  draining = false;
  drained: Promise<void> | undefined;
  /** Takes back its timeout. */
  cancelTimeout: Cancel = () => {};
  readonly #home: SubscriptionHome;
  readonly #callback: SubscriptionOptions['callback'];

  constructor(home: SubscriptionHome, subject: string, { callback, max, queue }: SubscriptionOptions) {
    super();
    this.#home = home;
    this.#callback = callback;
    this.subject = subject;
    this.queue = queue;
    this.max = max;
    this.noIterator = callback !== undefined;
    if (!this.noIterator) {
      const end = (error: Error | void): void => {
        this.closed.resolve(error);
        this.unsubscribe();
      };
      void this.iterClosed.then(end);
    }
  }

  /** Hands a message, or an error, to whoever subscribed. */
  callback(error: Error | null, message: Msg): void {
    this.cancelTimeout();
    if (this.#callback !== undefined) void this.#callback(error, message);
    else if (error === null) this.push(message);
    else this.stop(error);
  }

  close(error?: Error): void {
    if (this.isClosed()) return;
    this.cancelTimeout();
    const end = (): void => {
      this.stop();
      this.closed.resolve(error);
    };
    if (this.noIterator) end();
    else this.push(end);
  }

  unsubscribe(max?: number): void {
    this.#home.unsubscribe(this, max);
  }

  drain(): Promise<void> {
    return this.#home.drain(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isClosed()) await (this.drained ?? this.drain());
  }

  isDraining(): boolean {
    return this.draining;
  }

  isClosed(): boolean {
    return this.done;
  }

  getSubject(): string {
    return this.subject;
  }

  getMax(): number | undefined {
    return this.max;
  }

  getID(): number {
    return this.sid;
  }
}
