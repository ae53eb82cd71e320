import { setTimeout as sleep } from 'node:timers/promises';
import { entityStream, entityWildcard } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { CONTRACTS, type AgentToken } from '../clients/command.ts';
import type { Breach, Logged } from '../history.ts';
import { persist } from '../persist.ts';
import { LogReader } from './log-reader.ts';
import { OrderedLog } from './ordered-log.ts';
import { readMessage, type LogMessage } from './read-message.ts';

/** How much of a log was seen. */
export interface WitnessReport {
  readonly agent: string;
  readonly messages: number;
  /** Left the log before they could be read; known from their events. */
  readonly copied: number;
  /** Left the log before they could be read, and nobody heard of them either. */
  readonly missed: number;
  /** The longest time in which the log could not be read. */
  readonly quietMs: number;
}

export interface WitnessOptions {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** Given each message of a log, in its order, each once. */
  readonly onLogged: (logged: Logged) => void;
  /** Given in the end what the logs have then. */
  readonly onReadAgain: (logged: Logged) => void;
  readonly onBreach: (breach: Breach) => void;
}

interface Watched {
  readonly agent: AgentToken;
  readonly stream: string;
  log: OrderedLog;
  reader: LogReader;
  /** The highest sequence that any event told of. */
  heardTo: number;
  messages: number;
}

const askWithinMs = 60_000;
/** Without a further message for so long the reading has stopped. */
const stopMs = 30_000;
const pollMs = 50;

/** Reads the logs of the agents while they are written, straight at the servers, and once more in the end. */
export class Witness {
  readonly #options: WitnessOptions;
  readonly #watched: readonly Watched[];

  private constructor(options: WitnessOptions, watched: readonly Watched[]) {
    this.#options = options;
    this.#watched = watched;
  }

  static async start(options: WitnessOptions): Promise<Witness> {
    const agents = Object.keys(CONTRACTS) as AgentToken[];
    return new Witness(options, await Promise.all(agents.map((agent) => watch(agent, options))));
  }

  /** A commit as its event tells of it. */
  addCopy(message: LogMessage): void {
    // What is none will be found in the log.
    const logged = readOrUndefined(message, () => {});
    const watched = this.#watched.find(({ agent }) => agent === logged?.agent);
    if (logged === undefined || watched === undefined) return;
    watched.heardTo = Math.max(watched.heardTo, logged.sequence);
    watched.log.addCopy(logged);
  }

  /**
   * Reads on to the end of the logs as they are now, and then all of them again: what was once read must still be so.
   * @param withinMs a further message is expected @returns problems: which logs were not read to their end; nothing can be said of what they lack
   */
  async finish(withinMs = stopMs): Promise<{ reports: WitnessReport[]; problems: string[] }> {
    const problems = (await Promise.all(this.#watched.map((each) => this.#finishOne(each, withinMs)))).flat();
    const reports = this.#watched.map(({ agent, log: { copied, missed }, messages, reader }) => {
      return { agent, messages, copied, missed, quietMs: Math.round(reader.longestQuietMs) };
    });
    return { reports, problems };
  }

  /**
   * Reads no more of an agent's log, until what it answers is called: then on from where it was, or from behind the last message that
   * is left.
   */
  async pause(agent: string): Promise<(lastSequence: number) => void> {
    const watched = this.#watched.find((each) => each.agent === agent);
    if (watched === undefined) throw new RangeError(`nobody reads the log of ${agent}`);
    watched.reader.stop();
    await watched.log.settled();
    return (lastSequence) => {
      watched.heardTo = 0;
      Object.assign(watched, readFrom(Math.min(watched.log.next, lastSequence + 1), watched, this.#options));
    };
  }

  stop(): void {
    for (const { reader } of this.#watched) reader.stop();
  }

  async #finishOne(watched: Watched, withinMs: number): Promise<string[]> {
    const { agent, heardTo, log, reader, stream } = watched;
    const { connection, manager, onBreach, onReadAgain } = this.#options;
    const lookForEnd = async (): Promise<{ first: number; last: number; lastStored: number }> => {
      const { state } = await manager.streams.info(stream);
      const newest = await manager.streams.getMessage(stream, { last_by_subj: entityWildcard(CONTRACTS[agent].name) });
      // A server that was left behind may not know of the last ones.
      const heard = forgets(agent) ? 0 : heardTo;
      return { first: state.first_seq, last: state.last_seq, lastStored: Math.max(newest?.seq ?? 0, heard) };
    };
    const { first, last, lastStored } = await persist(`the end of ${stream}`, lookForEnd, askWithinMs);
    const isRead = await caughtUp(reader, lastStored, withinMs);
    reader.stop();
    if (!isRead) return [`the log of ${agent} was read to ${reader.next - 1} of ${lastStored} only`];
    await log.end(last);
    const onMessage = (message: LogMessage): void => {
      if (message.sequence > lastStored) return;
      watched.messages++;
      const logged = readOrUndefined(message, () => {});
      if (logged !== undefined) onReadAgain(logged);
    };
    const again = LogReader.start({ connection, stream, onMessage }, first);
    const isReadAgain = await caughtUp(again, lastStored, withinMs);
    again.stop();
    if (!isReadAgain) return [`the log of ${agent} was read again to ${again.next - 1} of ${lastStored} only`];
    const expected = lastStored - first + 1;
    if (!forgets(agent) && watched.messages !== expected) {
      const what = `the log of ${agent} has ${watched.messages} messages, expected ${expected}, for none may leave it`;
      onBreach({ invariant: 'lasting-log', what, history: [] });
    }
    return [];
  }
}

async function watch(agent: AgentToken, options: WitnessOptions): Promise<Watched> {
  const stream = entityStream(CONTRACTS[agent].name);
  const look = (): ReturnType<JetStreamManager['streams']['info']> => options.manager.streams.info(stream);
  const { state } = await persist(`the beginning of ${stream}`, look, askWithinMs);
  // An empty stream may begin at 0, which is no sequence.
  const first = Math.max(1, state.first_seq);
  return { agent, stream, ...readFrom(first, { agent, stream }, options), heardTo: 0, messages: 0 };
}

function readFrom(
  first: number,
  { agent, stream }: Pick<Watched, 'agent' | 'stream'>,
  { connection, onBreach, onLogged }: WitnessOptions,
): Pick<Watched, 'log' | 'reader'> {
  const log = new OrderedLog({ first, forgets: forgets(agent), onLogged });
  const onMessage = (message: LogMessage): void => {
    const logged = readOrUndefined(message, onBreach);
    if (logged !== undefined) log.add(logged);
  };
  return { log, reader: LogReader.start({ connection, stream, onMessage }, first) };
}

/** False where it stands still before it has read so far. */
async function caughtUp(reader: LogReader, last: number, withinMs: number): Promise<boolean> {
  let seen = { next: reader.next, at: performance.now() };
  while (reader.next <= last) {
    if (reader.next > seen.next) seen = { next: reader.next, at: performance.now() };
    if (performance.now() - seen.at > withinMs) return false;
    await sleep(pollMs);
  }
  return true;
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
