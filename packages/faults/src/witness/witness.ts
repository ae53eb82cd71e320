import { setTimeout as sleep } from 'node:timers/promises';
import { entityStream } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { CONTRACTS, type AgentToken } from '../clients/command.ts';
import type { Breach, Logged } from '../history.ts';
import { persist } from '../persist.ts';
import { LogReader } from './log-reader.ts';
import { OrderedLog } from './ordered-log.ts';
import { readMessage, type LogMessage } from './read-message.ts';

/** How much of the logs was seen. */
export interface WitnessReport {
  readonly agent: string;
  readonly lastSequence: number;
  /** Left the log before they could be read; known from their events. */
  readonly copied: number;
  /** Left the log before they could be read, and nobody heard of them either. */
  readonly missed: number;
  /** How often the reader had to begin anew. */
  readonly restarts: number;
}

export interface WitnessOptions {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** Told each message of a log, in its order, each once. */
  readonly onLogged: (logged: Logged) => void;
  /** Told in the end what the logs have then. */
  readonly onReadAgain: (logged: Logged) => void;
  /** Told what is in a log and is no commit. */
  readonly onForeign: (breach: Breach) => void;
}

interface Watched {
  readonly agent: AgentToken;
  readonly stream: string;
  readonly log: OrderedLog;
  readonly reader: LogReader;
}

const catchUpMs = 60_000;
const pollMs = 50;

/** Reads the logs of the agents while they are written, straight at the servers, and once more in the end. */
export class Witness {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #onReadAgain: (logged: Logged) => void;
  readonly #watched: readonly Watched[];

  private constructor(options: WitnessOptions, watched: readonly Watched[]) {
    this.#connection = options.connection;
    this.#manager = options.manager;
    this.#onReadAgain = options.onReadAgain;
    this.#watched = watched;
  }

  static start(options: WitnessOptions): Witness {
    const { connection, manager, onLogged, onForeign } = options;
    const watched = (Object.keys(CONTRACTS) as AgentToken[]).map((agent): Watched => {
      const stream = entityStream(CONTRACTS[agent].name);
      const log = new OrderedLog({ forgets: forgets(agent), onLogged });
      const onMessage = (message: LogMessage): void => {
        const logged = readOrUndefined(message, onForeign);
        if (logged !== undefined) log.add(logged);
      };
      return { agent, stream, log, reader: LogReader.start({ connection, manager, stream, onMessage }) };
    });
    return new Witness(options, watched);
  }

  /** A commit as its event tells of it. */
  addCopy(message: LogMessage): void {
    // What is none will be found in the log.
    const logged = readOrUndefined(message, () => {});
    if (logged !== undefined) this.#watched.find(({ agent }) => agent === logged.agent)?.log.addCopy(logged);
  }

  /** Reads on to the end of the logs as they are now, and then all of them again: what was once read must still be so. */
  async finish(): Promise<{ reports: WitnessReport[]; breaches: Breach[] }> {
    const ends = await Promise.all(this.#watched.map((each) => this.#finishOne(each)));
    return { reports: ends.map(({ report }) => report), breaches: ends.flatMap(({ breaches }) => breaches) };
  }

  stop(): void {
    for (const { reader } of this.#watched) reader.stop();
  }

  async #finishOne({ agent, stream, log, reader }: Watched): Promise<{ report: WitnessReport; breaches: Breach[] }> {
    const { state } = await persist(`the end of ${stream}`, () => this.#manager.streams.info(stream), catchUpMs);
    const { last_seq: lastSequence, messages } = state;
    await this.#readTo(`the log of ${agent}`, reader, lastSequence, messages);
    reader.stop();
    await log.end(lastSequence);
    let found = 0;
    const onMessage = (message: LogMessage): void => {
      if (message.sequence > lastSequence) return;
      found++;
      const logged = readOrUndefined(message, () => {});
      if (logged !== undefined) this.#onReadAgain(logged);
    };
    const again = LogReader.start({ connection: this.#connection, manager: this.#manager, stream, onMessage });
    await this.#readTo(`the log of ${agent} once more`, again, lastSequence, messages);
    again.stop();
    const { told } = log;
    const breaches: Breach[] = [];
    if (!forgets(agent) && found !== told) {
      const what = `the log of ${agent} has ${found} messages, but ${told} were read from it`;
      breaches.push({ invariant: 'lasting-log', what, history: [] });
    }
    const { copied, missed } = log;
    return { report: { agent, lastSequence, copied, missed, restarts: reader.restarts }, breaches };
  }

  async #readTo(what: string, reader: LogReader, lastSequence: number, messages: number): Promise<void> {
    if (messages === 0) return;
    const deadline = performance.now() + catchUpMs;
    while (reader.next <= lastSequence) {
      if (performance.now() > deadline) {
        throw new Error(`${what} was read to ${reader.next - 1} of ${lastSequence} within ${catchUpMs / 1000} s`);
      }
      await sleep(pollMs);
    }
  }
}

function readOrUndefined(message: LogMessage, onForeign: (breach: Breach) => void): Logged | undefined {
  try {
    return readMessage(message);
  } catch (error) {
    onForeign({ invariant: 'logs hold commits', what: (error as Error).message, history: [] });
    return undefined;
  }
}

/** Messages leave the log of an agent with leases. */
function forgets(agent: AgentToken): boolean {
  return 'expiryEvent' in CONTRACTS[agent];
}
