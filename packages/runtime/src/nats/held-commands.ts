import { heldFilter, heldStream, heldSubject, heldWildcard, parseHeldSubject } from '@meshforge/protocol';
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { z } from 'zod';
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
const NOTHING = new Uint8Array();

/**
 * The held commands of an agent: kept in a stream, one subject each, so that they outlive any process; and mirrored in each
 * replica, which hears of new and of answered ones as they are published. Each forgets itself when its time is over.
 */
export class StoredHeldCommands implements HeldCommands {
  readonly #connection: NatsConnection;
  readonly #requester: RequestPort;
  readonly #agent: string;
  readonly #serverNow: () => number;
  /** By entity, then by the digest of the command's id; a Map keeps the order of arrival. */
  readonly #mirror = new Map<string, Map<string, HeldCommand>>();
  #size = 0;
  #subscription: Subscription | undefined;

  constructor(connection: NatsConnection, requester: RequestPort, agent: string, serverNow: () => number) {
    this.#connection = connection;
    this.#requester = requester;
    this.#agent = agent;
    this.#serverNow = serverNow;
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
    this.#subscription?.unsubscribe();
  }

  /** Reads what is there: at first, and after a time without a connection. @throws NoAnswerError */
  load(): Promise<void> {
    return this.#read(heldWildcard(this.#agent));
  }

  refresh(entityId: string): Promise<void> {
    return this.#read(heldFilter(this.#agent, entityId));
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

  async put(command: HeldCommand): Promise<boolean> {
    const seconds = Math.ceil(Math.max(0, command.until - this.#serverNow()) / 1_000) + GRACE_S;
    const headers = rawHeaders([['Nats-TTL', `${seconds}s`]]);
    const body = utf8(JSON.stringify(command));
    const key = digestOf(command.commandId);
    const subject = heldSubject(this.#agent, command.entityId, key);
    const ack = readPublishAck(await this.#requester.request(subject, body, headers));
    if (ack.kind !== 'stored') return false;
    this.#set(command, key);
    return true;
  }

  drop({ entityId, commandId }: HeldCommand): void {
    const key = digestOf(commandId);
    this.#forget(entityId, key);
    this.#connection.publish(heldSubject(this.#agent, entityId, key), NOTHING, {
      headers: rawHeaders([['Nats-TTL', `${TOMBSTONE_S}s`]]),
    });
  }

  #see(subject: string, data: Uint8Array): void {
    const place = parseHeldSubject(subject);
    if (place === undefined) return;
    if (data.length === 0) {
      this.#forget(place.entityId, place.key);
      return;
    }
    const command = readHeld(data);
    if (command?.entityId === place.entityId) this.#set(command, place.key);
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

  /** Walks the stream, one message after the other. */
  async #read(filter: string): Promise<void> {
    const subject = `$JS.API.STREAM.MSG.GET.${heldStream(this.#agent)}`;
    for (let sequence = 1; ;) {
      const request = utf8(JSON.stringify({ seq: sequence, next_by_subj: filter }));
      const answer = await this.#requester.request(subject, request);
      if (answer.kind !== 'answer') throw new NoAnswerError(heldStream(this.#agent), answer.why);
      const { message, error } =
        apiResponse<{ message: { subject: string; seq: number; data?: string } }>(answer.message) ?? {};
      if (message === undefined) {
        if (error?.err_code === MESSAGE_NOT_FOUND) return;
        throw new Error(
          `${heldStream(this.#agent)} does not answer: ${error?.description ?? 'no message and no error'}`,
        );
      }
      this.#see(message.subject, Buffer.from(message.data ?? '', 'base64'));
      sequence = message.seq + 1;
    }
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
