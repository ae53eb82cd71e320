import { commandSubject, decode, encode, HEADERS, readOutcome, ReplyBody } from '@meshforge/protocol';
import { connectMesh, MeshError, type Mesh } from '@meshforge/runtime';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Link } from '../proxy/link.ts';
import { CONTRACTS, type Command } from './command.ts';
import { toOutcome, type Outcome } from './outcome.ts';

const patienceMs = 10_000;
const tryMs = 1_000;

/** Somebody who sends commands over links of its own. */
export class Client {
  readonly name: string;
  readonly mesh: Mesh;
  /** For what must be sent once and no more: the mesh client tries again when a connection breaks. */
  readonly #bare: NatsConnection;

  private constructor(name: string, mesh: Mesh, bare: NatsConnection) {
    this.name = name;
    this.mesh = mesh;
    this.#bare = bare;
  }

  static async connect(name: string, links: readonly Link[]): Promise<Client> {
    const servers = links.map((link) => link.url);
    const mesh = await connectMesh({ servers, name, timeoutMs: patienceMs, tryTimeoutMs: tryMs });
    const bare = await connect({
      servers,
      name: `${name} bare`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      pingInterval: 5_000,
      maxPingOut: 2,
    });
    return new Client(name, mesh, bare);
  }

  /** As users send: tried again with the same id until there is an answer, for ten seconds. */
  async sendPatiently(command: Command): Promise<Outcome> {
    const { agent, action, commandId, entityId, expectedVersion, data } = command;
    try {
      const options = { commandId, entityId, data, ...(expectedVersion === undefined ? {} : { expectedVersion }) };
      return toOutcome(await this.mesh.request(CONTRACTS[agent], action as never, options as never));
    } catch (error) {
      const why = (error as Error).message;
      if (error instanceof MeshError && (error.code === 'timeout' || error.code === 'unavailable')) {
        return { kind: error.code, why };
      }
      throw error;
    }
  }

  /** One copy, whatever happens to it. */
  async sendOnce(command: Command, timeoutMs: number): Promise<Outcome> {
    const { agent, action, commandId, entityId, expectedVersion, data } = command;
    const body = encode({ entity_id: entityId, expected_version: expectedVersion, data });
    const sent = headers();
    sent.set(HEADERS.commandId, commandId);
    let message;
    try {
      const subject = commandSubject(CONTRACTS[agent].name, action);
      message = await this.#bare.request(subject, body, { timeout: timeoutMs, headers: sent });
    } catch (error) {
      return { kind: 'timeout', why: (error as Error).message };
    }
    const reply = decode(ReplyBody, message.data);
    const replayed = message.headers?.get(HEADERS.replayed) === 'true';
    const read = reply.ok ? readOutcome(reply.value, replayed) : undefined;
    if (read === undefined) throw new Error(`command ${commandId} was answered with no reply of MeshForge`);
    return toOutcome(read);
  }

  async close(): Promise<void> {
    await Promise.all([this.mesh.close(), this.#bare.close()]);
  }
}
