import { setTimeout as sleep } from 'node:timers/promises';
import { commandSubject, decode, encode, HEADERS, readOutcome, ReplyBody, type JsonObject } from '@meshforge/protocol';
import { connectMesh, MeshError, type Mesh } from '@meshforge/runtime';
import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Answer } from '../history.ts';
import type { Link } from '../proxy/link.ts';
import { CONTRACTS, type Command } from './command.ts';

const patienceMs = 10_000;
const tryMs = 1_000;
/** A waiter listens so long for a second answer, which must not come. */
const secondAnswerMs = 2_000;

/** What became of a try: an answer, or why there is none: an agent said "not now", or nothing came, and nobody knows. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'unavailable' | 'timeout'; readonly why: string };

/** A durable command that is stored. */
export interface Posted {
  readonly kind: 'stored';
  /** What became of it, if that is told within half a minute. */
  outcome(): Promise<Outcome>;
}

/** Somebody who sends commands over links of its own. */
export class Client {
  readonly name: string;
  readonly mesh: Mesh;
  /** For what must be sent once and no more: the mesh client tries again when a connection breaks. */
  readonly #bare: NatsConnection;
  readonly #servers: readonly string[];
  /** Told how long the bare connection was away, in milliseconds, when it is back. */
  onAway: ((awayMs: number) => void) | undefined;

  private constructor(name: string, servers: readonly string[], mesh: Mesh, bare: NatsConnection) {
    this.name = name;
    this.mesh = mesh;
    this.#bare = bare;
    this.#servers = servers;
    void this.#watch();
  }

  static async connect(name: string, links: readonly Link[]): Promise<Client> {
    const servers = links.map((link) => link.url);
    const mesh = await connectMesh({ servers, name, timeoutMs: patienceMs, tryTimeoutMs: tryMs });
    return new Client(name, servers, mesh, await connectBare(servers, `${name} bare`));
  }

  /** As users send: tried again with the same id until there is an answer, for ten seconds by default. */
  async sendPatiently(command: Command, timeoutMs = patienceMs): Promise<Outcome> {
    const { agent, action, lease: named, ...rest } = command;
    const lease = named && { resource: named.resource, fencingToken: named.fencing_token };
    const options = { ...rest, timeoutMs, ...(lease && { lease }) } as never;
    return await orUnknown(async () => toOutcome(await this.mesh.request(CONTRACTS[agent], action as never, options)));
  }

  /** Stores a durable command. @param dueMs when it is to be executed, in milliseconds since the epoch */
  async post(command: Command, dueMs: number | undefined): Promise<Posted | Outcome> {
    const { agent, action, ...rest } = command;
    const options = { ...rest, ...(dueMs !== undefined && { at: new Date(dueMs) }) } as never;
    return await orUnknown(async () => {
      const sent = await this.mesh.send(CONTRACTS[agent], action as never, options);
      const outcome = (): Promise<Outcome> => orUnknown(async () => toOutcome(await sent.outcome()));
      return { kind: 'stored', outcome } as const;
    });
  }

  /** Takes a durable command back. Undefined: nobody knows. */
  async cancel({ agent, commandId, entityId }: Command): Promise<boolean | undefined> {
    const certain = await orUnknown(() => this.mesh.cancel(CONTRACTS[agent], { entityId, commandId }));
    return typeof certain === 'boolean' ? certain : undefined;
  }

  /** One copy, whatever happens to it. */
  async sendOnce(command: Command, timeoutMs: number): Promise<Outcome> {
    try {
      const { body, sent, subject } = messageOf(command);
      return read(command, await this.#bare.request(subject, body, { timeout: timeoutMs, headers: sent }));
    } catch (error) {
      if (error instanceof NoReplyError) throw error;
      return { kind: 'timeout', why: (error as Error).message };
    }
  }

  /** One copy, whose answer may be held back. @param onAgain told a further answer */
  async sendAndWait(command: Command, timeoutMs: number, onAgain: (outcome: Outcome) => void): Promise<Outcome> {
    const { body, sent, subject } = messageOf(command);
    const inbox = createInbox();
    let subscription: { unsubscribe(): void } | undefined;
    try {
      return await new Promise<Outcome>((resolve, reject) => {
        let isAnswered = false;
        const timer = setTimeout(() => resolve({ kind: 'timeout', why: `no answer in ${timeoutMs} ms` }), timeoutMs);
        const take = (message: Msg): void => {
          const isNobody = message.headers?.code === 503 && message.data.length === 0;
          const outcome = isNobody ? ({ kind: 'timeout', why: 'nobody serves it' } as const) : read(command, message);
          if (isAnswered) onAgain(outcome);
          isAnswered = true;
          clearTimeout(timer);
          resolve(outcome);
        };
        subscription = this.#bare.subscribe(inbox, {
          callback: (error, message) => {
            try {
              if (error === null) take(message);
            } catch (odd) {
              reject(odd);
            }
          },
        });
        this.#bare.publish(subject, body, { reply: inbox, headers: sent });
      });
    } finally {
      setTimeout(() => subscription?.unsubscribe(), secondAnswerMs).unref();
    }
  }

  /** One copy, by somebody who leaves before it can be answered; it may never get as far as a server. */
  async sendAndLeave(command: Command, leavesAfterMs: number): Promise<void> {
    const { body, sent, subject } = messageOf(command);
    let connection: NatsConnection;
    try {
      connection = await connectBare(this.#servers, `${this.name} leaving`);
    } catch {
      return;
    }
    const inbox = createInbox();
    connection.subscribe(inbox, { callback: () => {} });
    connection.publish(subject, body, { reply: inbox, headers: sent });
    await sleep(leavesAfterMs);
    await connection.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.mesh.close(), this.#bare.close()]);
  }

  async #watch(): Promise<void> {
    let leftAt: number | undefined;
    for await (const { type } of this.#bare.status()) {
      if (type === 'disconnect') leftAt ??= performance.now();
      if (type !== 'reconnect' || leftAt === undefined) continue;
      this.onAway?.(performance.now() - leftAt);
      leftAt = undefined;
    }
  }
}

/** @throws Error for whatever is no lack of an answer */
async function orUnknown<T>(work: () => Promise<T>): Promise<T | Outcome> {
  try {
    return await work();
  } catch (error) {
    const why = (error as Error).message;
    if (error instanceof MeshError && (error.code === 'timeout' || error.code === 'unavailable')) {
      return { kind: error.code, why };
    }
    throw error;
  }
}

async function connectBare(servers: readonly string[], name: string): Promise<NatsConnection> {
  return await connect({
    servers: [...servers],
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
  });
}

function messageOf(command: Command): { subject: string; body: Uint8Array; sent: ReturnType<typeof headers> } {
  const { agent, action, commandId, entityId, expectedVersion, lease, data } = command;
  const sent = headers();
  sent.set(HEADERS.commandId, commandId);
  const body = encode({ entity_id: entityId, expected_version: expectedVersion, lease, data });
  return { subject: commandSubject(CONTRACTS[agent].name, action), body, sent };
}

class NoReplyError extends Error {
  override readonly name = 'NoReplyError';
}

/** @throws NoReplyError for an answer that is none of the protocol's */
function read({ commandId }: Command, message: Msg): Outcome {
  const reply = decode(ReplyBody, message.data);
  const replayed = message.headers?.get(HEADERS.replayed) === 'true';
  const outcome = reply.ok ? readOutcome(reply.value, replayed) : undefined;
  if (outcome === undefined) throw new NoReplyError(`command ${commandId} was answered with no reply of MeshForge`);
  return toOutcome(outcome);
}

/** A reply as the protocol reads it, as the history tells it. */
function toOutcome(reply: {
  kind: Answer['kind'] | 'malformed' | 'unavailable';
  event: string;
  payload: object;
}): Outcome {
  const { kind, event } = reply;
  // A payload is JSON that came over the wire, whatever its type says.
  const payload = reply.payload as JsonObject;
  if (kind === 'unavailable') return { kind, why: String(payload['reason']) };
  return { kind: 'answered', answer: { kind: kind === 'malformed' ? 'rejected' : kind, event, payload } };
}
