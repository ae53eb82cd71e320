import { HEADERS, heldFilter, heldStream, heldSubject, heldWildcard, parseHeldSubject } from '@meshforge/protocol';
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { HeldCommand, HeldCommands } from '../core/companion.ts';
import { digestOf } from './digest.ts';
import { apiResponse, MESSAGE_NOT_FOUND, NoAnswerError, readPublishAck } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';
import { utf8 } from './utf8.ts';

/** So long after its wait a command that nobody saw to is forgotten, in seconds. */
const GRACE_S = 60;
/** So long the server keeps the news that a command was answered, in seconds; the least it can. */
const TOMBSTONE_S = 1;
/** Tries to tell the server that a command was answered, and the pause between them, in milliseconds. */
const DROP_TRIES = 10;
const DROP_PAUSE_MS = 1_000;
const NOTHING = new Uint8Array();

/**
 * The held commands of an agent: kept in a stream, one subject each, so that they outlive any process; and mirrored in each
 * replica, which hears of new and of answered ones as they are published. Each forgets itself when its time is over.
 */
export class StoredHeldCommands implements HeldCommands {
  readonly #connection: Pick<NatsConnection, 'subscribe'>;
  readonly #requester: RequestPort;
  readonly #agent: string;
  readonly #clock: Clock;
  readonly #serverNow: () => number;
  /** By entity, then by the digest of the command's id; a Map keeps the order of arrival. */
  readonly #mirror = new Map<string, Map<string, HeldCommand>>();
  #size = 0;
  #subscription: Subscription | undefined;

  constructor(options: {
    connection: Pick<NatsConnection, 'subscribe'>;
    requester: RequestPort;
    agent: string;
    clock: Clock;
    serverNow: () => number;
  }) {
    this.#connection = options.connection;
    this.#requester = options.requester;
    this.#agent = options.agent;
    this.#clock = options.clock;
    this.#serverNow = options.serverNow;
  }

  /** Begins to hear of new and of answered commands. */
  listen(): void {
    this.#subscription = this.#connection.subscribe(heldWildcard(this.#agent), {
      callback: (error, message) => {
        if (error === null) this.#see(message.subject, message.data, message.headers?.get(HEADERS.answered));
      },
    });
  }

  stop(): void {
    this.#subscription?.unsubscribe();
  }

  /** Reads what is there: at first, and after a time without a connection. @throws NoAnswerError */
  load(): Promise<void> {
    const before = this.entities().flatMap((entityId) => this.of(entityId));
    return this.#read(heldWildcard(this.#agent), before);
  }

  refresh(entityId: string): Promise<void> {
    return this.#read(heldFilter(this.#agent, entityId), this.of(entityId));
  }

  get size(): number {
    return this.#size;
  }

  entities(): readonly string[] {
    return [...this.#mirror.keys()];
  }

  of(entityId: string): readonly HeldCommand[] {
    return [...(this.#mirror.get(entityId)?.values() ?? [])];
  }

  find(entityId: string, commandId: string): HeldCommand | undefined {
    return this.#mirror.get(entityId)?.get(digestOf(commandId));
  }

  put(command: HeldCommand): Promise<boolean> {
    return this.#store(command, []);
  }

  async replace(command: HeldCommand): Promise<boolean> {
    const { commandId, entityId } = command;
    const key = digestOf(commandId);
    const subject = heldSubject(this.#agent, entityId, key);
    const stored = await this.#ask(utf8(JSON.stringify({ last_by_subj: subject })));
    if (stored === undefined || (stored.data ?? '') === '') {
      this.#forget(entityId, key);
      return false;
    }
    return await this.#store(command, [['Nats-Expected-Last-Subject-Sequence', String(stored.seq)]]);
  }

  async #store(command: HeldCommand, expectation: [string, string][]): Promise<boolean> {
    const seconds = Math.ceil(Math.max(0, command.until - this.#serverNow()) / 1_000) + GRACE_S;
    const headers = rawHeaders([['Nats-TTL', `${seconds}s`], ...expectation]);
    const body = utf8(JSON.stringify(command));
    const key = digestOf(command.commandId);
    const subject = heldSubject(this.#agent, command.entityId, key);
    const ack = readPublishAck(await this.#requester.request(subject, body, headers));
    if (ack.kind !== 'stored') return false;
    this.#set(command, key);
    return true;
  }

  async drop({ commandId, entityId, reply }: HeldCommand): Promise<void> {
    const key = digestOf(commandId);
    const subject = heldSubject(this.#agent, entityId, key);
    this.#forget(entityId, key);
    const headers = rawHeaders([
      ['Nats-TTL', `${TOMBSTONE_S}s`],
      [HEADERS.answered, reply],
    ]);
    for (let tries = 1; tries <= DROP_TRIES; tries++) {
      const { kind } = readPublishAck(await this.#requester.request(subject, NOTHING, headers));
      const held = this.find(entityId, commandId);
      // A retry of the command that has come meanwhile is stored by now.
      if (held !== undefined && held.reply !== reply) return;
      if (kind === 'stored') {
        // A read may have found it once more before.
        this.#forget(entityId, key);
        return;
      }
      await this.#clock.sleep(DROP_PAUSE_MS);
    }
  }

  /** @param answered of a message that says so, the inbox that the command was answered at */
  #see(subject: string, data: Uint8Array, answered = ''): HeldCommand | undefined {
    const place = parseHeldSubject(subject);
    if (place === undefined) return undefined;
    if (data.length === 0) {
      const { entityId, key } = place;
      const reply = this.#mirror.get(entityId)?.get(key)?.reply;
      // At another inbox: a retry has come in the same moment, and waits for its own answer.
      if (answered === '' || answered === reply) this.#forget(entityId, key);
      return undefined;
    }
    const command = readHeld(data);
    if (command?.entityId !== place.entityId || digestOf(command.commandId) !== place.key) return undefined;
    this.#set(command, place.key);
    return command;
  }

  #set(command: HeldCommand, key: string): void {
    const { entityId } = command;
    const commands = this.#mirror.get(entityId) ?? new Map<string, HeldCommand>();
    if (!commands.has(key)) this.#size++;
    commands.set(key, command);
    this.#mirror.set(entityId, commands);
  }

  #forget(entityId: string, key: string): void {
    const commands = this.#mirror.get(entityId);
    if (commands?.delete(key) === true) this.#size--;
    if (commands?.size === 0) this.#mirror.delete(entityId);
  }

  /** Walks the stream, one message after the other; what was in memory before and is not there has been answered. */
  async #read(filter: string, before: readonly HeldCommand[]): Promise<void> {
    const found = new Set<string>();
    for (let sequence = 1; ;) {
      const message = await this.#ask(utf8(JSON.stringify({ seq: sequence, next_by_subj: filter })));
      if (message === undefined) break;
      const command = this.#see(message.subject, Buffer.from(message.data ?? '', 'base64'));
      if (command !== undefined) found.add(command.commandId);
      sequence = message.seq + 1;
    }
    for (const command of before) {
      const { commandId, entityId } = command;
      const isSame = this.find(entityId, commandId) === command;
      if (isSame && !found.has(commandId)) this.#forget(entityId, digestOf(commandId));
    }
  }

  async #ask(request: Uint8Array): Promise<{ subject: string; seq: number; data?: string } | undefined> {
    const stream = heldStream(this.#agent);
    const answer = await this.#requester.request(`$JS.API.STREAM.MSG.GET.${stream}`, request);
    if (answer.kind !== 'answer') throw new NoAnswerError(stream, answer.why);
    const { message, error } =
      apiResponse<{ message: { subject: string; seq: number; data?: string } }>(answer.message) ?? {};
    if (message !== undefined) return message;
    if (error?.err_code === MESSAGE_NOT_FOUND) return undefined;
    throw new NoAnswerError(stream, error?.description ?? 'no message and no error');
  }
}

const Held = z.object({
  entityId: z.string(),
  action: z.string(),
  lease: z.object({ resource: z.string(), fencingToken: z.number() }).optional(),
  data: z.record(z.string(), z.unknown()),
  commandId: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  reply: z.string(),
  since: z.number(),
  until: z.number(),
  keeper: z.string(),
});

/** Undefined for what no agent wrote. */
function readHeld(data: Uint8Array): HeldCommand | undefined {
  try {
    return Held.parse(JSON.parse(Buffer.from(data).toString()));
  } catch {
    return undefined;
  }
}
