import { heldFilter, heldStream, heldSubject, heldWildcard, parseHeldSubject } from '@meshforge/protocol';
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
/** Tries to store a command while nobody knows whether it is; and the pause between two, also of those to forget one. */
const PUT_TRIES = 3;
const RETRY_MS = 250;
/** When a command came in of which nobody knows whether it is stored: no read tells that it is not held. */
const UNSURE = Number.POSITIVE_INFINITY;
const NOTHING = new Uint8Array();

/**
 * The held commands of an agent: kept in a stream, one subject each, so that they outlive any process; and mirrored in each
 * replica, which hears of new and of answered ones as they are published. Each forgets itself when its time is over.
 */
export class StoredHeldCommands implements HeldCommands {
  readonly #connection: NatsConnection;
  readonly #requester: RequestPort;
  readonly #agent: string;
  readonly #clock: Clock;
  readonly #serverNow: () => number;
  /** By entity, then by command; a Map keeps the order of arrival. */
  readonly #mirror = new Map<string, Map<string, HeldCommand>>();
  #size = 0;
  /** Counts what comes in, so that a read that is older than a command says nothing of it. */
  #moment = 0;
  readonly #cameIn = new WeakMap<HeldCommand, number>();
  /** Answered, and not forgotten by the server yet; by subject. */
  readonly #dropped = new Map<string, HeldCommand>();
  #subscription: Subscription | undefined;

  constructor(options: {
    connection: NatsConnection;
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
        if (error === null) this.#see(message.subject, message.data);
      },
    });
  }

  stop(): void {
    this.#dropped.clear();
    this.#subscription?.unsubscribe();
  }

  /** Reads what is there: at first, and after a time without a connection. @throws NoAnswerError */
  load(): Promise<void> {
    return this.#read(undefined);
  }

  refresh(entityId: string): Promise<void> {
    return this.#read(entityId);
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

  async confirm(command: HeldCommand): Promise<boolean> {
    if (this.#cameIn.get(command) === UNSURE) return true;
    const message = await this.#ask({ last_by_subj: this.#subjectOf(command) });
    if (message !== undefined && (message.data ?? '') !== '') return true;
    this.#forget(command.entityId, command.commandId);
    return false;
  }

  async put(command: HeldCommand): Promise<boolean> {
    this.#dropped.delete(this.#subjectOf(command));
    const seconds = Math.ceil(Math.max(0, command.until - this.#serverNow()) / 1_000) + GRACE_S;
    const headers = rawHeaders([['Nats-TTL', `${seconds}s`]]);
    const body = utf8(JSON.stringify(command));
    for (let tries = 1; tries <= PUT_TRIES; tries++) {
      const ack = readPublishAck(await this.#requester.request(this.#subjectOf(command), body, headers));
      if (ack.kind === 'refused') return false;
      if (ack.kind === 'stored') {
        this.#set(command);
        return true;
      }
      await this.#clock.sleep(RETRY_MS);
    }
    // It may be stored, and another replica see to it: who sent it must not be told that nothing comes of it.
    this.#set(command, UNSURE);
    return true;
  }

  drop(command: HeldCommand): void {
    this.#forget(command.entityId, command.commandId);
    void this.#bury(command);
  }

  /** What the server keeps on holding, another replica would answer once more. */
  async #bury(command: HeldCommand): Promise<void> {
    const subject = this.#subjectOf(command);
    this.#dropped.set(subject, command);
    const headers = rawHeaders([['Nats-TTL', `${TOMBSTONE_S}s`]]);
    // By then it forgets by itself.
    while (this.#dropped.get(subject) === command && this.#serverNow() < command.until + GRACE_S * 1_000) {
      const ack = readPublishAck(await this.#requester.request(subject, NOTHING, headers));
      if (ack.kind !== 'unknown') break;
      await this.#clock.sleep(RETRY_MS);
    }
    if (this.#dropped.get(subject) === command) this.#dropped.delete(subject);
  }

  #subjectOf({ entityId, commandId }: HeldCommand): string {
    return heldSubject(this.#agent, entityId, digestOf(commandId));
  }

  #see(subject: string, data: Uint8Array): void {
    const place = parseHeldSubject(subject);
    if (place === undefined) return;
    if (data.length === 0) {
      const { entityId, key } = place;
      for (const { commandId } of this.of(entityId)) {
        if (digestOf(commandId) === key) this.#forget(entityId, commandId);
      }
      return;
    }
    const command = readHeld(data);
    if (command?.entityId !== place.entityId) return;
    const dropped = this.#dropped.get(subject);
    if (dropped?.reply === command.reply) return;
    // Its sender has sent it anew.
    if (dropped !== undefined) this.#dropped.delete(subject);
    const known = this.#mirror.get(command.entityId)?.get(command.commandId);
    // It was heard of, which does not mean that it is stored.
    const isUnsure = known !== undefined && this.#cameIn.get(known) === UNSURE;
    this.#set(command, isUnsure ? UNSURE : ++this.#moment);
  }

  #set(command: HeldCommand, moment = ++this.#moment): void {
    this.#cameIn.set(command, moment);
    const { entityId, commandId } = command;
    const commands = this.#mirror.get(entityId) ?? new Map<string, HeldCommand>();
    if (!commands.has(commandId)) this.#size++;
    commands.set(commandId, command);
    this.#mirror.set(entityId, commands);
  }

  #forget(entityId: string, commandId: string): void {
    const commands = this.#mirror.get(entityId);
    if (commands?.delete(commandId) === true) this.#size--;
    if (commands?.size === 0) this.#mirror.delete(entityId);
  }

  /** Walks the stream, one message after the other. What it does not have any more was answered, and the news was lost. */
  async #read(entityId: string | undefined): Promise<void> {
    const filter = entityId === undefined ? heldWildcard(this.#agent) : heldFilter(this.#agent, entityId);
    const began = this.#moment;
    await this.#walk(filter);
    for (const id of entityId === undefined ? this.entities() : [entityId]) {
      for (const command of this.of(id)) {
        if ((this.#cameIn.get(command) ?? 0) <= began) this.#forget(id, command.commandId);
      }
    }
  }

  async #walk(filter: string): Promise<void> {
    for (let sequence = 1; ;) {
      const message = await this.#ask({ seq: sequence, next_by_subj: filter });
      if (message === undefined) return;
      this.#see(message.subject, Buffer.from(message.data ?? '', 'base64'));
      sequence = message.seq + 1;
    }
  }

  /** Undefined where there is no such message. @throws NoAnswerError */
  async #ask(which: object): Promise<{ subject: string; seq: number; data?: string } | undefined> {
    const stream = heldStream(this.#agent);
    const answer = await this.#requester.request(`$JS.API.STREAM.MSG.GET.${stream}`, utf8(JSON.stringify(which)));
    if (answer.kind !== 'answer') throw new NoAnswerError(stream, answer.why);
    const { message, error } =
      apiResponse<{ message: { subject: string; seq: number; data?: string } }>(answer.message) ?? {};
    if (message !== undefined || error?.err_code === MESSAGE_NOT_FOUND) return message;
    throw new Error(`${stream} does not answer: ${error?.description ?? 'no message and no error'}`);
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
