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
/** Between two looks at what is open, in milliseconds. */
const TICK_MS = 100;
/** A worker without room tells the server so often that it lives, in milliseconds. */
const KEEP_ALIVE_MS = 200;
/** After an answer that says "not now", in milliseconds. */
const PAUSE_MS = 100;
/** After a pull that the server does not understand, in milliseconds. */
const LONG_PAUSE_MS = 1_000;
const MAX_BATCH = 256;
/** With less room than for so many messages, a pull waits for more. */
const MIN_BATCH = 16;

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

interface Pull {
  sentAt: number;
  batch: number;
  pin: string | undefined;
}

export class PullLoop {
  readonly #options: PullLoopOptions;
  readonly #inbox: string;
  readonly #stopping = new AbortController();
  readonly #pulls = new Map<string, Pull>();
  #nextPull = 0;
  #lastPullAt = Number.NEGATIVE_INFINITY;
  /** Messages that were asked for and have not come. */
  #wanted = 0;
  /** No pull before this time, by the monotonic clock. */
  #pausedUntil = 0;
  #isAway = false;
  /** The pin that was given up last. */
  #leftPin = '';
  #run: { run: Run; end: AbortController } | undefined;
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

  /**
   * Takes nothing more in, and has the server turn to another worker at once.
   * Resolves when nothing more can be delivered to this one.
   */
  async stop(): Promise<void> {
    const { clock, connection } = this.#options;
    this.#stopping.abort();
    await this.#leave();
    await this.#looping;
    // A pull that stands may still be served: what is delivered is put back.
    while (this.#pulls.size > 0 && !connection.isClosed()) {
      await clock.sleep(TICK_MS / 10);
      this.#forgetLostPulls();
    }
    this.#subscription?.unsubscribe();
  }

  /** Has the server turn to another worker, and pulls nothing for a while. */
  stepAside(pauseMs: number): void {
    const { clock, onFault } = this.#options;
    this.#pausedUntil = clock.monotonic() + pauseMs;
    this.#leave().catch(onFault);
  }

  /** Deliveries may be missing, or of another consumer. */
  endRun(): void {
    this.#endRun();
  }

  acknowledge(reply: string): void {
    this.#options.connection.publish(reply);
  }

  /** Has the server deliver a message again, to whom it is pinned then. */
  putBack(reply: string): void {
    if (!this.#options.connection.isClosed()) this.#options.connection.publish(reply, PUT_BACK);
  }

  /** Asks for as many messages as there is room for. */
  pull(): void {
    const { clock, connection, room } = this.#options;
    const now = clock.monotonic();
    if (this.#stopping.signal.aborted || this.#isAway || now < this.#pausedUntil || connection.isClosed()) return;
    const isPinned = this.#run !== undefined;
    // The server gives the pin to one pull alone.
    if (!isPinned && this.#pulls.size > 0) return;
    const batch = Math.min(MAX_BATCH, room() - this.#wanted);
    if (batch >= MIN_BATCH) this.#send(batch, { expires: nanos(PULL_MS) });
    // No message is so small: it only says that the worker lives.
    else if (isPinned && now - this.#lastPullAt >= KEEP_ALIVE_MS)
      this.#send(0, { max_bytes: 1, expires: nanos(TICK_MS) });
  }

  #send(batch: number, how: object): void {
    const { api = '$JS.API', clock, connection, consumer, onFault, stream } = this.#options;
    const pin = this.#run?.run.pin;
    const id = pin === undefined ? {} : { id: pin };
    const request = { batch: Math.max(1, batch), group: PIN_GROUP, ...id, ...how };
    const token = String(this.#nextPull++);
    const sentAt = clock.monotonic();
    this.#lastPullAt = sentAt;
    try {
      const subject = `${api}.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
      connection.publish(subject, utf8(JSON.stringify(request)), { reply: this.#inbox + token });
    } catch (error) {
      if (!connection.isClosed()) onFault(error);
      return;
    }
    this.#pulls.set(token, { sentAt, batch, pin });
    this.#wanted += batch;
  }

  async #loop(): Promise<void> {
    const { clock, connection } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && !connection.isClosed()) {
      this.#forgetLostPulls();
      this.pull();
      await clock.sleep(TICK_MS, signal);
    }
  }

  #forgetLostPulls(): void {
    const before = this.#options.clock.monotonic() - PULL_MS - PULL_GRACE_MS;
    for (const [token, { batch, sentAt }] of this.#pulls) {
      if (sentAt >= before) continue;
      this.#pulls.delete(token);
      this.#wanted = Math.max(0, this.#wanted - batch);
    }
    if (this.#pulls.size === 0) this.#wanted = 0;
  }

  #see(message: Msg): void {
    // A message keeps the subject under which it is stored; only what the server says of a pull comes on the pull's own.
    if (message.subject.startsWith(this.#inbox)) {
      const headers = headersOf(message);
      if (headers !== undefined && headers !== 'unreadable') {
        this.#endPull(message.subject.slice(this.#inbox.length), headers);
      }
      return;
    }
    const delivery = readDelivery(message);
    if (delivery !== undefined) this.#deliver(delivery);
  }

  #endPull(token: string, headers: MsgHdrs): void {
    const { clock, onAbsent, onFault } = this.#options;
    const pull = this.#pulls.get(token);
    if (pull === undefined) return;
    this.#pulls.delete(token);
    const unserved = headers.get('Nats-Pending-Messages');
    this.#wanted -= unserved === '' ? pull.batch : Math.min(pull.batch, Number(unserved));
    if (this.#pulls.size === 0 || this.#wanted < 0) this.#wanted = 0;
    const { code, description } = headers;
    const isKeepAlive = pull.batch === 0;
    switch (code) {
      case WRONG_PIN:
        if (pull.pin === this.#run?.run.pin) this.#endRun();
        break;
      case NO_MESSAGES:
      case TIMEOUT:
        break;
      case NOBODY:
      case ENDED:
        if (isKeepAlive) break;
        this.#pausedUntil = Math.max(this.#pausedUntil, clock.monotonic() + PAUSE_MS);
        if (code === NOBODY || /deleted/i.test(description)) onAbsent();
        break;
      default:
        this.#pausedUntil = clock.monotonic() + LONG_PAUSE_MS;
        onFault(new Error(`the consumer does not take a pull: ${code} ${description}`));
    }
    this.pull();
  }

  #deliver(delivery: Delivery): void {
    const { onDelivery, onFault } = this.#options;
    if (this.#wanted > 0 && --this.#wanted === 0) this.#pulls.clear();
    const isLeft = delivery.pin === this.#leftPin;
    if (isLeft || this.#isAway || this.#stopping.signal.aborted) {
      this.putBack(delivery.reply);
      // An open pull without a pin has become the pinned one.
      if (!isLeft) this.#unpin(delivery.pin).catch(onFault);
      return;
    }
    if (delivery.pin !== this.#run?.run.pin || delivery.number !== this.#lastNumber + 1) this.#beginRun(delivery.pin);
    this.#lastNumber = delivery.number;
    this.pending = delivery.pending;
    if (delivery.isRepeated) this.redelivered++;
    onDelivery(delivery);
    this.pull();
  }

  #beginRun(pin: string): void {
    this.#endRun();
    const end = new AbortController();
    // As many may wait for its end as there are messages in hand.
    setMaxListeners(0, end.signal);
    const run = { pin, over: end.signal };
    this.#run = { run, end };
    this.#options.onRun(run);
  }

  #endRun(): void {
    if (this.#run === undefined) return;
    const { end } = this.#run;
    this.#run = undefined;
    end.abort();
    this.#options.onRunOver();
  }

  async #leave(): Promise<void> {
    if (this.#run === undefined) return;
    const { pin } = this.#run.run;
    this.#isAway = true;
    this.#endRun();
    await this.#unpin(pin);
    // Pulls under a pin that is over are refused.
    this.#pulls.clear();
    this.#wanted = 0;
    this.#isAway = false;
  }

  async #unpin(pin: string): Promise<void> {
    this.#leftPin = pin;
    const { api = '$JS.API', consumer, requester, stream } = this.#options;
    await requester.request(`${api}.CONSUMER.UNPIN.${stream}.${consumer}`, utf8(`{"group":"${PIN_GROUP}"}`));
  }

  /** Nobody knows what was delivered while the connection was broken. */
  async #followConnection(): Promise<void> {
    for await (const { type } of this.#options.connection.status()) {
      if (type !== 'disconnect') continue;
      this.#pulls.clear();
      this.#wanted = 0;
      this.#endRun();
    }
  }
}

const PUT_BACK = utf8('-NAK');
