// A server that NATS_URL names belongs to somebody: what is there stays as it is, and what npm start makes there goes again.
import {
  agentToken,
  commandStream,
  DEAD_LETTERS_STREAM,
  entityStream,
  printable,
  SIGNALS_STREAM,
} from '@meshforge/protocol';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { AGENTS, replicasOf } from './agents.ts';
import type { Say } from './narrator.ts';

const SHARED_STREAMS: readonly string[] = [SIGNALS_STREAM, DEAD_LETTERS_STREAM];
/** Every agent has streams that begin so. */
const PREFIXES = [entityStream('x'), commandStream('x')].map((name) => name.slice(0, -1));
const maxReasonCharacters = 200;

/** What was on the server before anything was started. */
export class BorrowedServer {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  /** Consumers of each stream. */
  readonly #before: ReadonlyMap<string, readonly string[]>;

  private constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    before: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#before = before;
  }

  /** @throws Error where this user may not list streams and consumers, or the server has none */
  static async look(connection: NatsConnection): Promise<BorrowedServer> {
    const manager = await jetstreamManager(connection);
    const before = new Map<string, readonly string[]>();
    for (const stream of await streamNames(manager)) before.set(stream, await consumerNames(manager, stream));
    return new BorrowedServer(connection, manager, before);
  }

  /** The streams of a mesh that is there already. What is committed to its logs cannot be taken out of them again. */
  get mesh(): readonly string[] {
    return [...this.#before.keys()].filter(isOfAMesh);
  }

  /**
   * Removes the streams and consumers that came with the agents of this process, which have to be gone. Those that another
   * process uses by now stay. Never rejects.
   */
  async giveBack(say: Say): Promise<void> {
    try {
      const now = await streamNames(this.#manager);
      const busy = await agentsThatAnswer(this.#connection);
      const isShared = busy.length > 0 || now.some((name) => isOfAMesh(name) && !isOurs(name));
      const isUsed = (name: string): boolean =>
        SHARED_STREAMS.includes(name) ? isShared : busy.some((agent) => isStreamOf(agent, name));
      const ours = now.filter(isOurs);
      const made = ours.filter((name) => !this.#before.has(name));
      const unused = made.filter((name) => !isUsed(name));
      for (const name of unused) await this.#manager.streams.delete(name);
      if (unused.length > 0) say(`removed the streams that this start made:\n  ${unused.join(', ')}`);
      const used = made.filter(isUsed);
      if (used.length > 0) say(`! left streams that this start made, for others use them now:\n  ${used.join(', ')}`);
      const others = ours.filter((name) => !made.includes(name) && !isUsed(name));
      for (const name of others) await this.#removeNewConsumers(name, say);
    } catch (error) {
      const reason = printable(error instanceof Error ? error.message : String(error), maxReasonCharacters);
      say(`! streams that this start made may be left: ${reason}`);
    }
  }

  async #removeNewConsumers(stream: string, say: Say): Promise<void> {
    const before = this.#before.get(stream) ?? [];
    for (const consumer of await consumerNames(this.#manager, stream)) {
      if (before.includes(consumer)) continue;
      await this.#manager.consumers.delete(stream, consumer);
      say(`removed the consumer ${consumer} that this start made on ${stream}`);
    }
  }
}

async function agentsThatAnswer(connection: NatsConnection): Promise<string[]> {
  const names: string[] = [];
  for (const { name } of AGENTS) if ((await replicasOf(connection, name)) > 0) names.push(name);
  return names;
}

async function streamNames(manager: JetStreamManager): Promise<string[]> {
  const names: string[] = [];
  for await (const name of manager.streams.names()) names.push(name);
  return names.sort();
}

async function consumerNames(manager: JetStreamManager, stream: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of manager.consumers.list(stream)) names.push(name);
  return names;
}

/** `ENTITIES_inventory` and all others that are named so. */
function isStreamOf(agent: string, stream: string): boolean {
  return stream.endsWith(`_${agentToken(agent)}`);
}

function isOurs(stream: string): boolean {
  return SHARED_STREAMS.includes(stream) || AGENTS.some(({ name }) => isStreamOf(name, stream));
}

/** Also one of other agents than ours. */
function isOfAMesh(stream: string): boolean {
  return SHARED_STREAMS.includes(stream) || PREFIXES.some((prefix) => stream.startsWith(prefix));
}
