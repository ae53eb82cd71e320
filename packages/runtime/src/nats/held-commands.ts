import {
  answeredSubject,
  heldFilter,
  heldInterest,
  heldStream,
  heldSubject,
  heldWildcard,
  parseHeldSubject,
} from '@meshforge/protocol';
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { HeldCommand, HeldCommands } from '../core/companion.ts';
import { digestOf } from './digest.ts';
import { expecting, storeExpecting, type HeaderLine } from './expecting.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { lastMessage, nextMessage, purgeSubject } from './stored-messages.ts';
import { utf8 } from './utf8.ts';

/** So long after its wait a command that nobody saw to is forgotten, in seconds. */
const GRACE_S = 60;
/** Tries to tell the server that a command was answered, and the pause between them, in milliseconds. */
const DROP_TRIES = 10;
const DROP_PAUSE_MS = 1_000;
/** Looks at a command that changes again and again: by retries of whoever sent it. */
const CLAIM_TRIES = 10;
/** Dropped commands that are remembered, so that old news of one does not bring it back. */
const MAX_DROPPED = 10_000;

/**
 * The held commands of an agent: kept in a stream, one subject each, so that they outlive any process; and mirrored in each
 * replica, which hears of new and of answered ones as they are published. Each forgets itself when its time is over.
 *
 * What has been answered is purged. To write something over it would not do: what a server drops because of a limit per
 * subject comes back when it is killed after that other message has left as well (measured on 2.15.1).
 */
export class StoredHeldCommands implements HeldCommands {
  readonly #connection: Pick<NatsConnection, 'publish' | 'subscribe'>;
  readonly #requester: RequestPort;
  readonly #agent: string;
  readonly #clock: Clock;
  readonly #serverNow: () => number;
  /** By entity, then by the digest of the command's id; a Map keeps the order of arrival. */
  readonly #mirror = new Map<string, Map<string, HeldCommand>>();
  /** Begin of the wait, by command. */
  readonly #dropped = new Map<string, number>();
  #size = 0;
  #subscription: Subscription | undefined;

  constructor(options: {
    connection: Pick<NatsConnection, 'publish' | 'subscribe'>;
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
    this.#subscription = this.#connection.subscribe(heldInterest(this.#agent), {
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
    const last = await this.#last(command);
    return last !== undefined && (await this.#store(command, expecting(last.sequence)));
  }

  async claim(command: HeldCommand): Promise<HeldCommand | undefined> {
    try {
      for (let tries = 1; tries <= CLAIM_TRIES; tries++) {
        const last = await this.#last(command);
        if (last === undefined) return undefined;
        if ((await this.#purge(command, last.sequence + 1)) > 0) {
          this.#remember(last.command);
          this.#tellAnswered(last.command);
          return last.command;
        }
        // Another replica was first.
      }
    } catch (error) {
      if (!(error instanceof NoAnswerError)) throw error;
    }
    const current = this.find(command.entityId, command.commandId) ?? command;
    void this.drop(current);
    return current;
  }

  /** The command as the server holds it; undefined, and forgotten, where it does not any more. @throws NoAnswerError */
  async #last(command: HeldCommand): Promise<{ command: HeldCommand; sequence: number } | undefined> {
    const stored = await lastMessage(this.#requester, heldStream(this.#agent), this.#subjectOf(command));
    const held = stored === undefined ? undefined : readHeld(stored.data);
    if (stored !== undefined && held !== undefined) return { command: held, sequence: stored.sequence };
    this.#forget(command.entityId, digestOf(command.commandId));
    return undefined;
  }

  async #store(command: HeldCommand, expectation: HeaderLine[]): Promise<boolean> {
    const seconds = Math.ceil(Math.max(0, command.until - this.#serverNow()) / 1_000) + GRACE_S;
    const lines = [['Nats-TTL', `${seconds}s`] as const, ...expectation];
    const body = utf8(JSON.stringify(command));
    const ack = await storeExpecting(this.#requester, this.#subjectOf(command), body, lines);
    if (ack.kind !== 'stored') return false;
    const isFirst = this.find(command.entityId, command.commandId) === undefined;
    this.#set(command, digestOf(command.commandId));
    // Without it the earlier one stays until its time is over.
    if (!isFirst) this.#purge(command, ack.sequence).catch(() => {});
    return true;
  }

  /** @param below only what has a lower sequence @returns how many messages it were @throws NoAnswerError */
  #purge(command: HeldCommand, below?: number): Promise<number> {
    return purgeSubject(this.#requester, heldStream(this.#agent), this.#subjectOf(command), below);
  }

  #tellAnswered(command: HeldCommand): void {
    const { commandId, entityId, reply } = command;
    this.#connection.publish(answeredSubject(this.#agent, entityId, digestOf(commandId)), utf8(reply));
  }

  async drop(command: HeldCommand): Promise<void> {
    const { commandId, entityId } = command;
    this.#remember(command);
    for (let tries = 1; tries <= DROP_TRIES; tries++) {
      try {
        await this.#purge(command);
        return this.#tellAnswered(command);
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error;
      }
      // A retry of the command that has come meanwhile has to stay.
      if (this.find(entityId, commandId) !== undefined) return;
      await this.#clock.sleep(DROP_PAUSE_MS);
    }
  }

  #remember({ commandId, entityId, since }: HeldCommand): void {
    this.#forget(entityId, digestOf(commandId));
    this.#dropped.delete(commandId);
    this.#dropped.set(commandId, since);
    if (this.#dropped.size > MAX_DROPPED) this.#dropped.delete(this.#dropped.keys().next().value ?? '');
  }

  #subjectOf({ entityId, commandId }: HeldCommand): string {
    return heldSubject(this.#agent, entityId, digestOf(commandId));
  }

  #see(subject: string, data: Uint8Array): HeldCommand | undefined {
    const place = parseHeldSubject(subject);
    if (place === undefined) return undefined;
    if (place.isAnswered) {
      const { entityId, key } = place;
      const reply = this.#mirror.get(entityId)?.get(key)?.reply;
      // At another inbox: a retry has come in the same moment, and waits for its own answer.
      if (Buffer.from(data).toString() === reply) this.#forget(entityId, key);
      return undefined;
    }
    const command = readHeld(data);
    if (command?.entityId !== place.entityId || digestOf(command.commandId) !== place.key) return undefined;
    if (this.#dropped.get(command.commandId) === command.since) return undefined;
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
    for (let next = 1; ;) {
      const message = await nextMessage(this.#requester, heldStream(this.#agent), filter, next);
      if (message === undefined) break;
      const command = this.#see(message.subject, message.data);
      if (command !== undefined) found.add(command.commandId);
      next = message.sequence + 1;
    }
    for (const command of before) {
      const { commandId, entityId } = command;
      const isSame = this.find(entityId, commandId) === command;
      if (isSame && !found.has(commandId)) this.#forget(entityId, digestOf(commandId));
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
