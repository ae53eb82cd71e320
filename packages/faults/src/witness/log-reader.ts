import { setTimeout as sleep } from 'node:timers/promises';
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import type { LogMessage } from './read-message.ts';

export interface LogReaderOptions {
  readonly connection: NatsConnection;
  readonly stream: string;
  /** Given each message that is there, in order, each once. */
  readonly onMessage: (message: LogMessage) => void;
}

const batch = 500;
const pauseMs = 40;
/** Between two messages of an answer; the server that answers may die half-way. */
const silenceMs = 1_000;

/**
 * Reads a stream as it grows by asking for what comes next, again and again. Any replica answers (Direct Get), and nothing is
 * kept at a server. So no lost consumer, change of leader or broken connection can end it; `quietMs` says how long nobody has
 * answered.
 */
export class LogReader {
  readonly #options: LogReaderOptions;
  /** The sequence from which on nothing was read. */
  #next: number;
  #answeredAt = performance.now();
  #longestQuietMs = 0;
  #isStopped = false;

  private constructor(options: LogReaderOptions, from: number) {
    this.#options = options;
    this.#next = from;
  }

  static start(options: LogReaderOptions, from = 1): LogReader {
    const reader = new LogReader(options, from);
    void reader.#run();
    return reader;
  }

  get next(): number {
    return this.#next;
  }

  /** The longest time in which nobody answered, up to now. */
  get longestQuietMs(): number {
    return Math.max(this.#longestQuietMs, performance.now() - this.#answeredAt);
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const next = this.#next;
      await this.#ask();
      if (this.#next === next) await sleep(pauseMs);
    }
  }

  /** Resolves when the answer has ended, or ended too early. */
  async #ask(): Promise<void> {
    const { connection, stream } = this.#options;
    let unsubscribe = (): void => {};
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, silenceMs);
        const inbox = createInbox();
        let last = 0;
        const callback = (error: Error | null, message: Msg): void => {
          timer?.refresh();
          last = error === null && !this.#isStopped ? this.#take(message, last) : 0;
          if (last === 0) resolve();
        };
        const subscription = connection.subscribe(inbox, { callback });
        unsubscribe = () => subscription.unsubscribe();
        const question = JSON.stringify({ seq: this.#next, batch });
        connection.publish(`$JS.API.DIRECT.GET.${stream}`, question, { reply: inbox });
      });
    } catch {
      // The connection is away, and comes back.
    }
    clearTimeout(timer);
    unsubscribe();
  }

  /** @param last sequence before it in this answer @returns its own; 0 at the end of the answer, and where one before it was lost */
  #take({ data, headers }: Msg, last: number): number {
    if (headers === undefined || headers.code === 503) return 0;
    this.#longestQuietMs = this.longestQuietMs;
    this.#answeredAt = performance.now();
    if (headers.code !== 0 || number(headers, 'Nats-Last-Sequence') !== last) return 0;
    const sequence = number(headers, 'Nats-Sequence');
    const [subject, time] = [headers.get('Nats-Subject'), headers.get('Nats-Time-Stamp')];
    this.#next = sequence + 1;
    this.#options.onMessage({ subject, sequence, time, headers, data });
    return sequence;
  }
}

function number(headers: MsgHdrs, name: string): number {
  return Number(headers.get(name));
}
