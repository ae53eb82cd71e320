import {
  commandSubject,
  decode,
  decodeJson,
  encode,
  GetResult,
  HEADERS,
  querySubject,
  statusOfCode,
  type AgentContract,
  type QueryKind,
} from '@meshforge/protocol';
import { headers as newHeaders, type Msg, type NatsConnection, type Payload } from '@nats-io/transport-node';
import type { z } from 'zod';
import { ask } from './ask.ts';
import { CheckFailed } from './check.ts';
import { show } from './expect.ts';
import { headerOf, readReply, type Reply } from './reply.ts';
import { replyLine, requestLine, type OnLine } from './traffic.ts';

/** The lease under which a command is sent. */
export interface CommandLease {
  readonly resource: string;
  readonly fencing_token: number;
}

export interface SendOptions {
  /** `expected_version`; left out, the command is unguarded. */
  readonly expect?: number;
  readonly lease?: CommandLease;
  /** Added to the command's own; a `Mesh-Command-Id` here replaces the one that every command gets. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends no `Mesh-Command-Id`. */
  readonly anonymous?: boolean;
}

/** A live entity as `get` answers it. */
export interface Found<State> {
  readonly entity_id: string;
  readonly entity_version: number;
  readonly state: State;
}

export interface AgentClientOptions {
  readonly connection: NatsConnection;
  /** How long a reply may take. */
  readonly patienceMs: number;
  readonly newCommandId: () => string;
  readonly onLine: OnLine;
}

/** Speaks to one agent as any client in any language can: JSON and headers, request and reply. */
export class AgentClient {
  readonly #contract: AgentContract;
  readonly #options: AgentClientOptions;

  constructor(contract: AgentContract, options: AgentClientOptions) {
    this.#contract = contract;
    this.#options = options;
  }

  /** The same agent over another connection. */
  over(connection: NatsConnection): AgentClient {
    return new AgentClient(this.#contract, { ...this.#options, connection });
  }

  async send(action: string, entityId: string, data: object = {}, options: SendOptions = {}): Promise<Reply> {
    const { expect, lease } = options;
    const body = encode({ entity_id: entityId, expected_version: expect, lease, data });
    return await this.sendBody(action, body, options);
  }

  /** For bodies that no correct client would send. */
  async sendBody(action: string, body: Payload, options: SendOptions = {}): Promise<Reply> {
    const { connection, patienceMs, newCommandId, onLine } = this.#options;
    const subject = commandSubject(this.#contract.name, action);
    const headers = newHeaders();
    if (options.anonymous !== true) headers.set(HEADERS.commandId, newCommandId());
    for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
    onLine(requestLine(subject, body));
    const reply = readReply(subject, await ask(connection, subject, body, { timeoutMs: patienceMs, headers }));
    onLine(replyLine(reply));
    return reply;
  }

  /** @throws CheckFailed for a refusal or for a result that is not of the schema. */
  async query<T>(kind: QueryKind, query: object, schema: z.ZodType<T>): Promise<T> {
    const message = await this.#ask(kind, query);
    const body = decodeJson(message.data);
    const result = schema.safeParse(body.ok ? body.value : undefined);
    if (result.success && headerOf(message, HEADERS.errorCode) === undefined) return result.data;
    const subject = querySubject(this.#contract.name, kind);
    throw new CheckFailed(`${subject} ${show(query)}: expected a result, got ${show(message.string())}`);
  }

  /** The live entity, or nothing when the agent says that there is none. */
  async find<State>(entityId: string, state: z.ZodType<State>): Promise<Found<State> | undefined> {
    const message = await this.#ask('get', { entity_id: entityId });
    if (headerOf(message, HEADERS.errorCode) === String(statusOfCode('not_found'))) return undefined;
    const found = decode(GetResult.extend({ state }), message.data);
    if (found.ok) return found.value;
    throw new CheckFailed(`get of ${entityId}: expected a result, got ${show(message.string())}`);
  }

  /** The answer to a query that must be refused. @throws CheckFailed for a result. */
  async queryRefused(kind: QueryKind, query: object): Promise<Reply> {
    return readReply(querySubject(this.#contract.name, kind), await this.#ask(kind, query));
  }

  async #ask(kind: QueryKind, query: object): Promise<Msg> {
    const { connection, patienceMs, onLine } = this.#options;
    const subject = querySubject(this.#contract.name, kind);
    onLine(requestLine(subject, encode(query)));
    return await ask(connection, subject, encode(query), { timeoutMs: patienceMs });
  }
}
