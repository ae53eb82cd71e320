/**
 * An agent as a target of bad input: each shot tells all that came of it. The next good command is the proof that the
 * agent lives, and the barrier behind which no late answer to the shot can hide: an agent answers in the order in which
 * it decides.
 */
import {
  commandSubject,
  entityStream,
  ID_HEADERS,
  HEADERS,
  REJECTION_CODES,
  statusOfCode,
  type JsonObject,
  type RejectionCode,
} from '@meshforge/protocol';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { sendCommand } from '../../support/wire.ts';
import type { AgentSpec, Mesh } from './mesh.ts';
import type { Bytes, RawMessage } from './raw-client.ts';

/** An answer or a signal, as it came. */
export interface Heard {
  subject: string;
  body: JsonObject;
  headers: MsgHdrs | undefined;
  /** Of body and headers. */
  bytes: number;
}

/** What came of one message. */
export interface Shot {
  replies: Heard[];
  /** What the agent told everybody meanwhile. */
  signals: Heard[];
  /** Messages that its log got meanwhile, the next good command's not counted. */
  written: number;
}

/** Bytes that a refusal may have, headers and all. */
const SHORT_ANSWER_BYTES = 4_096;

// What would rewrite a terminal, split a log line or forge a header.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;

let inboxes = 0;

export class Target {
  readonly spec: AgentSpec;
  readonly #mesh: Mesh;
  readonly #manager: JetStreamManager;
  readonly #replies: Heard[] = [];
  readonly #signals: Heard[] = [];
  readonly #inbox: string;
  #probes = 0;

  private constructor(mesh: Mesh, spec: AgentSpec, manager: JetStreamManager) {
    this.#mesh = mesh;
    this.spec = spec;
    this.#manager = manager;
    this.#inbox = `_INBOX.edge${++inboxes}`;
  }

  static async open(mesh: Mesh, spec: AgentSpec): Promise<Target> {
    const { client } = mesh;
    const target = new Target(mesh, spec, await jetstreamManager(client, { checkAPI: false, timeout: 30_000 }));
    const collect = (list: Heard[]) => (_: unknown, message: Msg) => {
      list.push(toHeard(message));
    };
    client.subscribe(`${target.#inbox}.*`, { callback: collect(target.#replies) });
    for (const signal of ['rejected', 'denied', 'conflict']) {
      client.subscribe(`evt.${spec.token}.${signal}`, { callback: collect(target.#signals) });
    }
    await client.flush();
    return target;
  }

  /** A fresh inbox of this target. */
  inbox(): string {
    return `${this.#inbox}.${++inboxes}`;
  }

  /** The subject of the command that all good messages here are. */
  get subject(): string {
    return commandSubject(this.spec.name, this.spec.good.action);
  }

  /** A good command's body with changes; a key that is undefined is left out. */
  body(changes: Readonly<Record<string, unknown>> = {}): string {
    return JSON.stringify({ entity_id: 'target', data: this.spec.good.data, ...changes });
  }

  async lastSequence(): Promise<number> {
    return (await this.#manager.streams.info(entityStream(this.spec.name))).state.last_seq;
  }

  /**
   * Sends a message and waits for its reply, if `reply` is an inbox of this target.
   * @param settled for a message without a reply: when all that it does is done; default at once
   */
  async shoot(
    message: Partial<RawMessage>,
    options: { reply?: Bytes | undefined; settled?: () => Promise<unknown> } = { reply: this.inbox() },
  ): Promise<Shot> {
    const { reply, settled } = options;
    const { raw } = this.#mesh;
    const before = await this.lastSequence();
    const told = this.#signals.length;
    raw.publish({ subject: this.subject, reply, ...message });
    await raw.flush();
    const answers = (): Heard[] => this.#replies.filter(({ subject }) => subject === reply);
    if (typeof reply === 'string' && reply.startsWith(this.#inbox)) {
      await until(`${this.spec.name} answers`, () => answers().length > 0);
    }
    await settled?.();
    const { action, data, event } = this.spec.good;
    const probe = await sendCommand(this.#mesh.client, this.spec.name, action, {
      entityId: `probe-${this.#inbox}-${++this.#probes}`,
      data,
    });
    if (probe.event !== `evt.${this.spec.token}.${event}`) throw new Error(`the next command ended in ${probe.event}`);
    const written = (await this.lastSequence()) - before - 1;
    return { replies: answers(), signals: this.#signals.slice(told), written };
  }
}

/** Sends a message that must be refused, once, in a documented way, with nothing changed. Answers the refusal. */
export async function expectRefused(
  target: Target,
  message: Partial<RawMessage>,
  expected: Expected,
): Promise<Refusal> {
  const { replies, signals, written } = await target.shoot(message);
  expect({ replies: replies.length, signals: signals.length, written }).toEqual({ replies: 1, signals: 1, written: 0 });
  const [reply, signal] = [...replies, ...signals] as [Heard, Heard];

  const { event, payload } = reply.body as unknown as { event: string; payload: Refusal };
  expect(event).toBe(`evt.${target.spec.token}.rejected`);
  expectPayload(payload, expected);
  expectTidy(reply);
  expect(reply.headers?.get(HEADERS.errorCode)).toBe(String(statusOfCode(expected.code)));
  expect(reply.headers?.get(HEADERS.error)).not.toBe('');
  expect(reply.headers?.get(HEADERS.commandId)).not.toBe('');

  expect(signal.subject).toBe(event);
  expect(signal.body).toEqual(payload);
  expectTidy(signal);
  for (const name of ID_HEADERS) expect(signal.headers?.get(name), `header ${name}`).toBe(reply.headers?.get(name));
  return payload;
}

/** Sends a message that must be refused, but has no inbox that may be answered. */
export async function expectRefusedInSilence(
  target: Target,
  message: Partial<RawMessage>,
  reply: Bytes | undefined,
  expected: Expected,
): Promise<void> {
  const { replies, signals, written } = await target.shoot(message, { reply });
  expect({ replies, signals: signals.length, written }).toEqual({ replies: [], signals: 1, written: 0 });
  const [signal] = signals as [Heard];
  expectPayload(signal.body as unknown as Refusal, expected);
  expectTidy(signal);
}

export interface Expected {
  code: RejectionCode;
  /** Of the issues, in order. Default: none. */
  paths?: readonly string[];
  /** What the reason says. */
  reason?: RegExp;
  /** Default null. */
  entityId?: string | null;
  /** Default: the good command's. */
  action?: string;
}

export interface Refusal {
  entity_id: string | null;
  action: string;
  code: string;
  reason: string;
  issues?: { path: string; message: string }[];
}

function expectPayload(payload: Refusal, { code, paths = [], reason, entityId, action }: Expected): void {
  expect(REJECTION_CODES).toContain(payload.code);
  expect(
    { code: payload.code, paths: (payload.issues ?? []).map(({ path }) => path) },
    `it says: ${payload.reason}`,
  ).toEqual({
    code,
    paths,
  });
  if (reason !== undefined) expect(payload.reason).toMatch(reason);
  if (entityId !== undefined) expect(payload.entity_id).toBe(entityId);
  if (action !== undefined) expect(payload.action).toBe(action);
  expect(payload.reason).not.toBe('');
}

/** Short, and nothing in it that a reader would not see. */
function expectTidy({ body, headers, bytes }: Heard): void {
  expect(bytes, 'bytes of the answer').toBeLessThan(SHORT_ANSWER_BYTES);
  const payload = ('payload' in body ? body['payload'] : body) as Refusal;
  const shown = [
    payload.action,
    payload.reason,
    ...(payload.issues ?? []).flatMap(({ path, message }) => [path, message]),
  ];
  const values = headers?.keys().flatMap((key) => [key, ...headers.values(key)]) ?? [];
  expect([...shown, ...values].filter((text) => UNPRINTABLE.test(text))).toEqual([]);
}

function toHeard(message: Msg): Heard {
  const { data, headers, subject } = message;
  const lines = headers?.keys().flatMap((key) => headers.values(key).map((value) => `${key}: ${value}\r\n`)) ?? [];
  return {
    subject,
    body: message.json<JsonObject>(),
    headers,
    bytes: data.length + Buffer.byteLength(lines.join('')),
  };
}
