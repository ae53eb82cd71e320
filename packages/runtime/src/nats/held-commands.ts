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
import type { Clock } from '../clock.ts';
import type { HeldCommand, HeldCommands } from '../core/companion.ts';
import { digestOf } from './digest.ts';
import { expecting, storeExpecting, type HeaderLine } from './expecting.ts';
import { readHeld } from './held-message.ts';
import { NoAnswerError, type PublishResult } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { lastMessage, nextMessage, purgeSubject, storedSubjects } from './stored-messages.ts';
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
/** Between two looks for commands that are stored and that this replica does not know, in milliseconds. */
const STRAYS_MS = 2_000;

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
  /** What has been answered, each from its inbox; a Set keeps the order. */
  readonly #dropped = new Set<string>();
  readonly #stopping = new AbortController();
  /** Subjects that the last look found, and that this replica does not know. */
  #strays = new Set<string>();
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
    this.#stopping.abort();
    this.#subscription?.unsubscribe();
  }

  /** Looks for strays until it is stopped. */
  async watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#clock.sleep(STRAYS_MS, signal);
      // The next look is the retry.
      if (!signal.aborted) await this.findStrays().catch(ignoreNoAnswer);
    }
  }

  /**
   * Looks for commands that are stored and that this replica does not know: its news was lost, or it was stored only after it had
   * been answered. What two looks in a row find is taken in, or purged if it was answered here; once can be news under way.
   * @throws NoAnswerError
   */
  async findStrays(): Promise<void> {
    const stored = await storedSubjects(this.#requester, heldStream(this.#agent), heldWildcard(this.#agent));
    const strays = stored.filter((subject) => !this.#knows(subject));
    const again = strays.filter((subject) => this.#strays.has(subject));
    this.#strays = new Set(strays);
    for (const subject of again) await this.#takeIn(subject);
  }

  #knows(subject: string): boolean {
    const place = parseHeldSubject(subject);
    return place !== undefined && this.#mirror.get(place.entityId)?.has(place.key) === true;
  }

  async #takeIn(subject: string): Promise<void> {
    const stored = await lastMessage(this.#requester, heldStream(this.#agent), subject);
    if (stored === undefined || this.#see(subject, stored.data) !== undefined) return;
    const command = readHeld(stored.data);
    if (command !== undefined && this.#dropped.has(takeOf(command))) await this.#purge(command, stored.sequence + 1);
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

  async put(command: HeldCommand): Promise<'held' | 'answered' | 'failed'> {
    // So a store whose acknowledgement was lost is never repeated behind the answer that another replica gave.
    const stored = await this.#store(command, [['Nats-Msg-Id', digestOf(takeOf(command))]]);
    if (stored !== 'duplicate') return stored === 'stored' ? 'held' : 'failed';
    try {
      const last = await this.#last(command);
      if (last === undefined) return 'answered';
      this.#set(last.command, digestOf(command.commandId));
      return 'held';
    } catch (error) {
      ignoreNoAnswer(error);
      return 'failed';
    }
  }

  async replace(command: HeldCommand): Promise<boolean> {
    const last = await this.#last(command);
    return last !== undefined && (await this.#store(command, expecting(last.sequence))) === 'stored';
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
      ignoreNoAnswer(error);
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

  async #store(command: HeldCommand, expectation: HeaderLine[]): Promise<PublishResult['kind']> {
    const seconds = Math.ceil(Math.max(0, command.until - this.#serverNow()) / 1_000) + GRACE_S;
    const lines = [['Nats-TTL', `${seconds}s`] as const, ...expectation];
    const body = utf8(JSON.stringify(command));
    const ack = await storeExpecting(this.#requester, this.#subjectOf(command), body, lines);
    if (ack.kind !== 'stored') return ack.kind;
    const isFirst = this.find(command.entityId, command.commandId) === undefined;
    this.#set(command, digestOf(command.commandId));
    // Without it the earlier one stays until its time is over.
    if (!isFirst) this.#purge(command, ack.sequence).catch(() => {});
    return ack.kind;
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
        ignoreNoAnswer(error);
      }
      // A retry of the command that has come meanwhile has to stay.
      if (this.find(entityId, commandId) !== undefined) return;
      await this.#clock.sleep(DROP_PAUSE_MS);
    }
  }

  #remember(command: HeldCommand): void {
    this.#forget(command.entityId, digestOf(command.commandId));
    this.#dropped.add(takeOf(command));
    if (this.#dropped.size > MAX_DROPPED) this.#dropped.delete(this.#dropped.values().next().value ?? '');
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
    if (this.#dropped.has(takeOf(command))) return undefined;
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

/** Tells apart how often a command was taken in, and each retry of it, which waits for an answer of its own. */
function takeOf({ commandId, reply, since }: HeldCommand): string {
  return JSON.stringify([commandId, since, reply]);
}

function ignoreNoAnswer(error: unknown): void {
  if (!(error instanceof NoAnswerError)) throw error;
}
