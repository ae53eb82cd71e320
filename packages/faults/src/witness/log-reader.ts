import { AckPolicy, DeliverPolicy, type JetStreamManager } from '@nats-io/jetstream';
import { createInbox, nanos, nuid, type Msg, type NatsConnection, type Subscription } from '@nats-io/nats-core';
import type { LogMessage } from './read-message.ts';

export interface LogReaderOptions {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly stream: string;
  /** Told each message that is there, in order, each once. */
  readonly onMessage: (message: LogMessage) => void;
}

const heartbeatMs = 300;
/** Without a sign of life for so long the consumer is given up: it, its server or the connection is gone. */
const silenceMs = 1_200;
const checkMs = 100;
/** A consumer that was given up removes itself. */
const inactiveMs = 5_000;

/**
 * Reads a stream as it grows, from its first message on, and never stops trying: a consumer that fails is replaced by one
 * that begins where it ended. (The client's own ordered consumer does the same, but only notices after many seconds, and
 * leases are purged within half a second.)
 */
export class LogReader {
  readonly #options: LogReaderOptions;
  #subscription: Subscription | undefined;
  /** Of the stream: the next that may come. */
  #next = 1;
  /** Of the consumer: what it has delivered. */
  #delivered = 0;
  #lastSignAt = 0;
  #isOpening = false;
  #watchdog: NodeJS.Timeout | undefined;
  #restarts = -1;

  private constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  static start(options: LogReaderOptions): LogReader {
    const reader = new LogReader(options);
    reader.#watchdog = setInterval(() => reader.#check(), checkMs);
    reader.#check();
    return reader;
  }

  /** Whatever is stored before this was read. */
  get next(): number {
    return this.#next;
  }

  /** How often it had to begin anew. */
  get restarts(): number {
    return Math.max(0, this.#restarts);
  }

  stop(): void {
    clearInterval(this.#watchdog);
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  #check(): void {
    if (this.#isOpening || performance.now() - this.#lastSignAt < silenceMs) return;
    this.#isOpening = true;
    void this.#open()
      .catch(() => {})
      .finally(() => {
        this.#isOpening = false;
      });
  }

  async #open(): Promise<void> {
    const { connection, manager, stream } = this.#options;
    this.#subscription?.unsubscribe();
    this.#restarts++;
    this.#delivered = 0;
    const deliverTo = createInbox();
    const subscription = connection.subscribe(deliverTo, {
      callback: (error, message) => {
        if (error === null && this.#subscription === subscription) this.#receive(message);
      },
    });
    this.#subscription = subscription;
    await manager.consumers.add(stream, {
      name: `witness-${nuid.next()}`,
      deliver_subject: deliverTo,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#next,
      ack_policy: AckPolicy.None,
      idle_heartbeat: nanos(heartbeatMs),
      flow_control: true,
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: 1,
    });
    this.#lastSignAt = performance.now();
  }

  #receive(message: Msg): void {
    this.#lastSignAt = performance.now();
    if (message.headers?.code === 100) {
      // Flow control: the server goes on once it is answered, also where it asks by way of a heartbeat.
      const stalled = message.headers.get('Nats-Consumer-Stalled');
      if (stalled !== '') this.#options.connection.publish(stalled);
      else if ((message.reply ?? '') !== '') message.respond();
      return;
    }
    const place = placeOf(message.reply ?? '');
    if (place.delivered !== this.#delivered + 1) {
      // One was lost on the way.
      this.#lastSignAt = 0;
      this.#subscription?.unsubscribe();
      this.#subscription = undefined;
      return;
    }
    this.#delivered = place.delivered;
    this.#next = place.sequence + 1;
    const { subject, headers, data } = message;
    this.#options.onMessage({ subject, sequence: place.sequence, time: place.time, headers, data });
  }
}

/**
 * `$JS.ACK.<stream>.<consumer>.<tries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, or the same with
 * domain and account behind `ACK` and something random at the end.
 */
function placeOf(reply: string): { sequence: number; delivered: number; time: string } {
  const words = reply.split('.');
  const first = words.length === 9 ? 5 : 7;
  const [sequence, delivered, nanoseconds] = words.slice(first, first + 3);
  const time = new Date(Number((nanoseconds ?? '').slice(0, -6))).toISOString();
  return { sequence: Number(sequence), delivered: Number(delivered), time };
}
