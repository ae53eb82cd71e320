/**
 * The messages of a stream, for one replica at a time, in the order in which they were stored.
 *
 * All replicas pull from one consumer whose policy is `pinned_client`: the server serves one of them alone, and turns to another
 * when it has not heard of that one for a while. It hands out new messages before those that the former replica had in its
 * hands. So whoever is new reads from the stream itself what lies between, once the other can no longer believe that it is
 * served; after that, deliveries of what it has are nothing but further ways to acknowledge it.
 *
 * Invariants
 * - Messages are handed on in the order of the stream, each once in a tenure.
 * - What is handed on in a tenure is in no other replica's hands that believes in its own.
 */
import { setMaxListeners } from 'node:events';
import { createInbox, type Msg, type NatsConnection, type Subscription } from '@nats-io/nats-core';
import { within, type Clock } from '../clock.ts';
import { headersOf } from '../intake/command-headers.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { utf8 } from '../nats/utf8.ts';
import { readDelivery } from './delivery.ts';
import { deleteMessage } from '../nats/stored-messages.ts';
import { leftBehind } from './left-behind.ts';
import { isAlone, PIN_GROUP, PIN_MS } from './pin.ts';
import { Tenure, type QueuedMessage } from './tenure.ts';

/** How long a pull stands, in milliseconds: each one tells the server that the replica lives. */
const PULL_MS = 300;
/** How much longer its end may take to get here, in milliseconds. */
const PULL_GRACE_MS = 500;
/** After an answer that says "not now", in milliseconds. */
const PAUSE_MS = 100;
const MAX_BATCH = 256;
/** With less room than for so many messages, a pull waits for more. */
const MIN_BATCH = 32;
/** What was done is remembered, so that its delivery anew is acknowledged and nothing else. */
const MAX_DONE = 20_000;

const WRONG_PIN = 423;
const NOBODY = 503;
/** The pull has ended: its time, or what it asked for. */
const QUIET = new Set([404, 408]);

export interface PinnedFeedOptions {
  connection: NatsConnection;
  requester: RequestPort;
  clock: Clock;
  inboxPrefix: string;
  stream: string;
  consumer: string;
  /** What the consumer delivers. */
  filter: string;
  /** Whether a message that is done is to be deleted where it cannot be acknowledged: in a work queue. */
  isWorkQueue: boolean;
  /** How many more messages there is room for. */
  room: () => number;
  /** In the order of the stream. Must not throw. */
  onMessage: (message: QueuedMessage, tenure: Tenure) => void;
  onFault: (error: unknown) => void;
}

export class PinnedFeed {
  readonly #options: PinnedFeedOptions;
  readonly #inbox: string;
  readonly #stopping = new AbortController();
  readonly #done = new Set<number>();
  /** Of the messages in hand: where each is acknowledged, once that is known. */
  #inHand = new Map<number, string | undefined>();
  /** What has come while the tenure begins. */
  #early: Map<number, QueuedMessage> | undefined;
  #tenure: Tenure | undefined;
  /** The consumer counts its deliveries: one that is missing was lost on its way. */
  #lastDelivery = 0;
  #pulls = 0;
  #sentAt = 0;
  /** When the first pull was sent of which it is not known whether it has ended: a message may answer that one. */
  #doubtfulSince: number | undefined;
  /** The server has said of it that it is over. */
  #lostPin = '';
  #left = 0;
  /** The pull is there for nothing but to say that this replica lives. */
  #isFull = false;
  #pullIsOver: (pauseMs: number) => void = () => {};
  #roomIsFree: () => void = () => {};
  #running: Promise<void> = Promise.resolve();
  #subscription: Subscription | undefined;
  /** Not delivered yet, as the server last said. */
  pending = 0;
  /** Deliveries that were not the first. */
  redelivered = 0;

  constructor(options: PinnedFeedOptions) {
    this.#options = options;
    this.#inbox = createInbox(options.inboxPrefix);
    setMaxListeners(0, this.#stopping.signal);
  }

  /** Whether this replica is the one that works. */
  get isActive(): boolean {
    return this.#tenure?.isCurrent() === true;
  }

  get inHand(): number {
    return this.#inHand.size;
  }

  start(): void {
    this.#subscription = this.#options.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return;
        try {
          this.#see(message);
        } catch (fault) {
          this.#options.onFault(fault);
        }
      },
    });
    this.#running = this.#run();
    void this.#followConnection();
  }

  /** Takes nothing more in, and lets another replica work at once. What is in hand is no longer this one's. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#pullIsOver(0);
    this.#roomIsFree();
    await this.#running;
    const { requester, stream, consumer } = this.#options;
    const wasActive = this.isActive;
    this.#endTenure();
    this.#subscription?.unsubscribe();
    if (wasActive) {
      await requester.request(`$JS.API.CONSUMER.UNPIN.${stream}.${consumer}`, utf8(`{"group":"${PIN_GROUP}"}`));
    }
  }

  /** A message has been seen to: it leaves the queue. */
  done(sequence: number): void {
    const reply = this.#inHand.get(sequence);
    this.#inHand.delete(sequence);
    this.#done.add(sequence);
    if (this.#done.size > MAX_DONE) this.#done.delete(this.#done.values().next().value ?? 0);
    if (this.#options.room() >= MIN_BATCH) this.#roomIsFree();
    if (reply !== undefined) this.#options.connection.publish(reply);
    else if (this.#options.isWorkQueue) {
      // Else its delivery anew is acknowledged.
      const { requester, stream } = this.#options;
      deleteMessage(requester, stream, sequence).catch(() => {});
    }
  }

  /** Nobody knows what was delivered while the connection was broken. */
  async #followConnection(): Promise<void> {
    for await (const { type } of this.#options.connection.status()) if (type === 'disconnect') this.#endTenure();
  }

  async #run(): Promise<void> {
    const { clock, connection, room } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && !connection.isClosed()) {
      if (room() < MIN_BATCH) await this.#rest();
      if (signal.aborted) return;
      const over = new Promise<number>((resolve) => (this.#pullIsOver = resolve));
      this.#pull();
      const pauseMs = await within(clock, PULL_MS + PULL_GRACE_MS, over);
      if (pauseMs === undefined) this.#doubtfulSince ??= this.#sentAt;
      else if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    }
  }

  /** Until there is room, but not so long that the server would not hear of this replica. */
  async #rest(): Promise<void> {
    const freed = new Promise<void>((resolve) => (this.#roomIsFree = resolve));
    await within(this.#options.clock, PAUSE_MS, freed);
  }

  #pull(): void {
    const { clock, connection, consumer, room, stream } = this.#options;
    const free = Math.min(MAX_BATCH, room());
    this.#isFull = free <= 0;
    this.#left = Math.max(1, free);
    this.#sentAt = clock.monotonic();
    const id = this.#tenure?.id;
    const request = {
      batch: this.#left,
      expires: PULL_MS * 1_000_000,
      group: PIN_GROUP,
      ...(id === undefined ? {} : { id }),
      // No message is so small: it only says that the replica lives.
      ...(this.#isFull ? { max_bytes: 1 } : {}),
    };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    try {
      connection.publish(subject, utf8(JSON.stringify(request)), { reply: `${this.#inbox}.${++this.#pulls}` });
    } catch (error) {
      if (!connection.isClosed()) this.#options.onFault(error);
    }
  }

  #see(message: Msg): void {
    const headers = headersOf(message);
    const code = headers === 'unreadable' ? 0 : (headers?.code ?? 0);
    if (code > 0) {
      if (message.subject !== `${this.#inbox}.${this.#pulls}`) return;
      this.#doubtfulSince = undefined;
      if (code === WRONG_PIN) {
        this.#lostPin = this.#tenure?.id ?? this.#lostPin;
        this.#endTenure();
      } else if (code !== NOBODY) this.#confirm(this.#sentAt + PIN_MS).catch(this.#options.onFault);
      this.#pullIsOver(QUIET.has(code) || code === WRONG_PIN || this.#isFull ? 0 : PAUSE_MS);
      return;
    }
    // A message has the subject that it was stored under: it does not tell which pull it answers.
    this.#deliver(message, (this.#doubtfulSince ?? this.#sentAt) + PIN_MS);
    if (--this.#left === 0) this.#pullIsOver(0);
  }

  /** A pull was not refused: nor is one under a pin that is over, as long as there is nothing to deliver. */
  async #confirm(until: number): Promise<void> {
    const tenure = this.#tenure;
    // As long as it is not over, the server keeps the pin.
    if (tenure?.isCurrent() !== false) return tenure?.extend(until);
    const wasAlone = await isAlone(this.#options, tenure.id, this.#lastDelivery);
    if (wasAlone === true) tenure.extend(until);
    else if (wasAlone === false && this.#tenure === tenure) this.#endTenure();
  }

  /** @param until when the pin ends that the message proves */
  #deliver(found: Msg, until: number): void {
    const read = readDelivery(found);
    if (read === undefined) return;
    const { delivery, message, pending, pin, reply } = read;
    if (pin !== this.#tenure?.id) {
      if (pin === this.#lostPin || this.#stopping.signal.aborted) return;
      this.#beginTenure(pin, until);
    } else if (delivery !== this.#lastDelivery + 1) {
      // What was lost would come after what stands behind it: begin anew, and read it from the stream.
      this.#endTenure();
      return;
    } else this.#tenure.extend(until);
    this.#lastDelivery = delivery;
    this.pending = pending;
    const { isRepeated, sequence } = message;
    if (isRepeated) this.redelivered++;
    if (this.#done.has(sequence)) {
      this.#options.connection.publish(reply);
      return;
    }
    const isInHand = this.#inHand.has(sequence);
    this.#inHand.set(sequence, reply);
    if (isInHand || this.#tenure === undefined) return;
    if (this.#early === undefined) this.#options.onMessage(message, this.#tenure);
    else this.#early.set(sequence, message);
  }

  #beginTenure(pin: string, until: number): void {
    this.#endTenure();
    const { clock, onFault } = this.#options;
    const tenure = new Tenure(pin, clock, until);
    this.#tenure = tenure;
    setMaxListeners(0, tenure.over);
    this.#early = new Map();
    this.#catchUp(tenure).catch(onFault);
  }

  #endTenure(): void {
    this.#tenure?.end();
    this.#tenure = undefined;
    this.#early = undefined;
    this.#inHand = new Map();
  }

  /** Hands on what a former replica had in its hands, and then what has come meanwhile. */
  async #catchUp(tenure: Tenure): Promise<void> {
    const { clock, onFault } = this.#options;
    const isKnown = (sequence: number): boolean => this.#inHand.has(sequence) || this.#done.has(sequence);
    const isOwn = (sequence: number): boolean =>
      this.#early?.get(sequence)?.isRepeated === false || this.#done.has(sequence);
    while (!tenure.over.aborted) {
      try {
        for (const stored of await leftBehind({ ...this.#options, isKnown: isOwn }, tenure)) {
          const message = { ...stored, storedAt: Date.parse(stored.time), isRepeated: true };
          if (!isKnown(stored.sequence)) this.#early?.set(stored.sequence, message);
        }
        break;
      } catch (error) {
        if (!(error instanceof NoAnswerError)) onFault(error);
        await clock.sleep(PAUSE_MS, tenure.over);
      }
    }
    if (tenure.over.aborted) return;
    const early = [...(this.#early?.values() ?? [])];
    this.#early = undefined;
    early.sort((one, other) => one.sequence - other.sequence);
    for (const message of early) {
      if (!this.#inHand.has(message.sequence)) this.#inHand.set(message.sequence, undefined);
      this.#options.onMessage(message, tenure);
    }
  }
}
