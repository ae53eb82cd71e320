/**
 * Pulls the messages of one consumer whose policy is `pinned_client`: the server delivers to one worker, until it has not heard
 * of that one for a while. The pin keeps the work in one place; nothing relies on it.
 *
 * What can be relied on is a *run*: a gapless series of the consumer's deliveries, under one pin, on one connection. Of the
 * messages that are stored behind a first delivery of a run, and delivered for the first time in that run, none is missing.
 *
 * Nothing here reads a message's headers outside a try: an error in the callback would end the connection's reader.
 */
import { setMaxListeners } from 'node:events';
import { createInbox, nanos, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import { headersOf } from '../intake/command-headers.ts';
import type { RequestPort } from '../nats/requester.ts';
import { utf8 } from '../nats/utf8.ts';
import { PIN_GROUP } from './consumer.ts';
import { readDelivery, type Delivery } from './delivery.ts';

/** How long a pull stands, in milliseconds: each one tells the server that the worker lives. */
const PULL_MS = 200;
/** How much longer its end may take to get here, in milliseconds. */
const PULL_GRACE_MS = 500;
/** Between two looks at whether a pull was lost, or is due, in milliseconds. */
const TICK_MS = 100;
/** After an answer that says "not now", and after one that the server should not give, in milliseconds. */
const PAUSE_MS = 100;
const LONG_PAUSE_MS = 1_000;
const MAX_BATCH = 256;
/** With less room than for so many messages, a pull waits for more. */
export const MIN_BATCH = 16;

const NO_MESSAGES = 404;
const TIMEOUT = 408;
const ENDED = 409;
const WRONG_PIN = 423;
const NOBODY = 503;

/** A gapless series of deliveries. */
export interface Run {
  readonly pin: string;
  /** Aborted when a delivery may be missing, or another worker may be served. */
  readonly over: AbortSignal;
}

export interface PullLoopOptions {
  connection: NatsConnection;
  requester: RequestPort;
  clock: Clock;
  inboxPrefix: string;
  /** Prefix of JetStream's API. Default `$JS.API`. */
  api?: string;
  stream: string;
  consumer: string;
  /** How many more messages there is room for. */
  room: () => number;
  /** Must not throw, as the following. */
  onRun: (run: Run) => void;
  onRunOver: () => void;
  onDelivery: (delivery: Delivery) => void;
  /** The consumer may be gone. Called with each pull that says so. */
  onAbsent: () => void;
  onFault: (error: unknown) => void;
}

/** The one request for messages that stands. */
interface Pull {
  token: string;
  sentAt: number;
  /** Messages that are still to come. */
  left: number;
  pin: string | undefined;
  /** There was no room: it only tells that the worker lives. */
  isKeepAlive: boolean;
}

export class PullLoop {
  readonly #options: PullLoopOptions;
  readonly #inbox: string;
  readonly #stopping = new AbortController();
  #pull: Pull | undefined;
  #nextToken = 0;
  #lastPullAt = Number.NEGATIVE_INFINITY;
  /** No pull before this time, by the monotonic clock. */
  #pausedUntil = 0;
  #run: { run: Run; end: AbortController } | undefined;
  /** The pin that was given up last. */
  #leftPin: string | undefined;
  #lastNumber = 0;
  #looping: Promise<void> = Promise.resolve();
  #subscription: Subscription | undefined;
  /** Not delivered yet, as the server last said. */
  pending = 0;
  /** Deliveries that were not the first. */
  redelivered = 0;

  constructor(options: PullLoopOptions) {
    this.#options = options;
    this.#inbox = `${createInbox(options.inboxPrefix)}.`;
  }

  /** Whether the server delivers to this worker. */
  get isPinned(): boolean {
    return this.#run !== undefined;
  }

  start(): void {
    const { connection, onFault } = this.#options;
    this.#subscription = connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error !== null) return;
        try {
          this.#see(message);
        } catch (fault) {
          onFault(fault);
        }
      },
    });
    this.#looping = this.#loop();
    void this.#followConnection();
  }

  /** Has the server turn to another worker at once; resolves when nothing more can be delivered to this one. */
  async stop(): Promise<void> {
    const { clock, connection } = this.#options;
    this.#stopping.abort();
    await this.#leave();
    await this.#looping;
    // A pull that stands may still be served: what is delivered is put back.
    while (this.#pull !== undefined && !connection.isClosed()) {
      await clock.sleep(TICK_MS / 10);
      this.#forgetLostPull();
    }
    this.#subscription?.unsubscribe();
  }

  /** Has the server turn to another worker, and pulls nothing for a while. */
  stepAside(pauseMs: number): void {
    this.#pause(pauseMs);
    this.#leave().catch(this.#options.onFault);
  }

  acknowledge(reply: string): void {
    this.#options.connection.publish(reply);
  }

  /** Has the server deliver a message again, to whom it is pinned then. */
  putBack(reply: string): void {
    if (!this.#options.connection.isClosed()) this.#options.connection.publish(reply, PUT_BACK);
  }

  /** Asks for as many messages as there is room for, unless that is being done. */
  pull(): void {
    const { api = '$JS.API', clock, connection, consumer, onFault, room, stream } = this.#options;
    const now = clock.monotonic();
    if (this.#pull !== undefined || now < this.#pausedUntil) return;
    if (this.#stopping.signal.aborted || connection.isClosed()) return;
    const batch = Math.min(MAX_BATCH, room());
    const isKeepAlive = batch < MIN_BATCH;
    if (isKeepAlive && (this.#run === undefined || now - this.#lastPullAt < PULL_MS)) return;
    const pin = this.#run?.run.pin;
    const request = {
      batch: isKeepAlive ? 1 : batch,
      expires: nanos(isKeepAlive ? TICK_MS : PULL_MS),
      group: PIN_GROUP,
      ...(pin === undefined ? {} : { id: pin }),
      // No message is so small.
      ...(isKeepAlive ? { max_bytes: 1 } : {}),
    };
    const token = String(this.#nextToken++);
    try {
      const subject = `${api}.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
      connection.publish(subject, utf8(JSON.stringify(request)), { reply: this.#inbox + token });
    } catch (error) {
      if (!connection.isClosed()) onFault(error);
      return;
    }
    this.#lastPullAt = now;
    this.#pull = { token, sentAt: now, left: request.batch, pin, isKeepAlive };
  }

  /** Deliveries may be missing, or of another consumer. */
  endRun(): void {
    if (this.#run === undefined) return;
    const { end } = this.#run;
    this.#run = undefined;
    end.abort();
    this.#options.onRunOver();
  }

  async #loop(): Promise<void> {
    const { clock, connection } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && !connection.isClosed()) {
      this.#forgetLostPull();
      this.pull();
      await clock.sleep(TICK_MS, signal);
    }
  }

  #forgetLostPull(): void {
    const { clock } = this.#options;
    if (this.#pull !== undefined && clock.monotonic() > this.#pull.sentAt + PULL_MS + PULL_GRACE_MS) {
      this.#pull = undefined;
    }
  }

  #pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#options.clock.monotonic() + ms);
  }

  #see(message: Msg): void {
    // A message keeps the subject under which it is stored; only what the server says of a pull comes on the pull's own.
    if (!message.subject.startsWith(this.#inbox)) {
      const delivery = readDelivery(message);
      if (delivery !== undefined) this.#deliver(delivery);
      return;
    }
    const headers = headersOf(message);
    const isOfPull = message.subject === this.#inbox + this.#pull?.token;
    if (isOfPull && headers !== undefined && headers !== 'unreadable') this.#endPull(headers);
  }

  #endPull({ code, description }: MsgHdrs): void {
    const { onAbsent, onFault } = this.#options;
    const ended = this.#pull;
    this.#pull = undefined;
    switch (code) {
      case NO_MESSAGES:
      case TIMEOUT:
        break;
      case WRONG_PIN:
        if (ended?.pin === this.#run?.run.pin) this.endRun();
        break;
      case NOBODY:
      case ENDED:
        if (ended?.isKeepAlive === true) break;
        this.#pause(PAUSE_MS);
        if (code === NOBODY || /deleted/i.test(description)) onAbsent();
        break;
      default:
        this.#pause(LONG_PAUSE_MS);
        onFault(new Error(`the consumer does not take a pull: ${code} ${description}`));
    }
    this.pull();
  }

  #deliver(delivery: Delivery): void {
    const { onDelivery, onFault } = this.#options;
    const { isRepeated, number, pending, pin, reply } = delivery;
    if (this.#pull !== undefined && --this.#pull.left === 0) this.#pull = undefined;
    if (pin === this.#leftPin || this.#stopping.signal.aborted) {
      this.putBack(reply);
      // A pull without a pin stood, and has become the pinned one.
      if (pin !== this.#leftPin) this.#unpin(pin).catch(onFault);
      return;
    }
    if (pin !== this.#run?.run.pin || number !== this.#lastNumber + 1) this.#beginRun(pin);
    this.#lastNumber = number;
    this.pending = pending;
    if (isRepeated) this.redelivered++;
    onDelivery(delivery);
    this.pull();
  }

  #beginRun(pin: string): void {
    this.endRun();
    const end = new AbortController();
    // As many may wait for its end as there are messages in hand.
    setMaxListeners(0, end.signal);
    const run = { pin, over: end.signal };
    this.#run = { run, end };
    this.#options.onRun(run);
  }

  async #leave(): Promise<void> {
    if (this.#run === undefined) return;
    const { pin } = this.#run.run;
    this.endRun();
    // A pull under a pin that is given up is not served.
    this.#pull = undefined;
    await this.#unpin(pin);
  }

  async #unpin(pin: string): Promise<void> {
    const { api = '$JS.API', consumer, requester, stream } = this.#options;
    this.#leftPin = pin;
    await requester.request(`${api}.CONSUMER.UNPIN.${stream}.${consumer}`, utf8(`{"group":"${PIN_GROUP}"}`));
  }

  /** Nobody knows what was delivered while the connection was broken. */
  async #followConnection(): Promise<void> {
    for await (const { type } of this.#options.connection.status()) {
      if (type !== 'disconnect') continue;
      this.#pull = undefined;
      this.endRun();
    }
  }
}

const PUT_BACK = utf8('-NAK');
