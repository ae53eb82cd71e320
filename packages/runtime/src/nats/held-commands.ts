import { answeredSubject, heldFilter, heldInterest, heldWildcard, parseHeldSubject } from '@meshforge/protocol';
import { nuid, type NatsConnection, type Subscription } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import type { HeldCommand, HeldCommands } from '../core/companion.ts';
import type { StoreOutcome } from '../core/outcome.ts';
import { digestOf } from './digest.ts';
import { expecting } from './expecting.ts';
import { readHeld, takeOf } from './held-message.ts';
import { HeldStream } from './held-stream.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { utf8 } from './utf8.ts';

/** Tries to tell the server that a command was answered, and the pause between them, in milliseconds. */
const DROP_TRIES = 10;
const DROP_PAUSE_MS = 1_000;
/** Looks at a command that changes again and again: by retries of whoever sent it. */
const CLAIM_TRIES = 10;
/** Dropped commands that are remembered, so that old news of one does not bring it back. */
const MAX_DROPPED = 10_000;
/** Between two looks for commands that are stored and that this replica does not know, in milliseconds. */
const STRAYS_MS = 2_000;

/** Gives the answer that another replica was to give, and did not: it died at that. */
type AnswerInstead = (command: HeldCommand, outcome: StoreOutcome) => void;

/**
 * The held commands of an agent: kept in a stream, one subject each, so that they outlive any process; and mirrored in each
 * replica, which hears of new and of answered ones as they are published. Each forgets itself when its time is over.
 *
 * What has been answered is purged. To write something over it would not do: what a server drops because of a limit per
 * subject comes back when it is killed after that other message has left as well (measured on 2.15.1).
 */
export class StoredHeldCommands implements HeldCommands {
  readonly #connection: Pick<NatsConnection, 'publish' | 'subscribe'>;
  readonly #stream: HeldStream;
  readonly #agent: string;
  readonly #clock: Clock;
  readonly #name = nuid.next();
  /** Those that nobody has begun to answer. By entity, then by the digest of the command's id; a Map keeps the order of arrival. */
  readonly #mirror = new Map<string, Map<string, HeldCommand>>();
  /** What has been answered here, each from its inbox; a Set keeps the order. */
  readonly #dropped = new Set<string>();
  readonly #stopping = new AbortController();
  /** Subjects that the last look found, and that this replica does not know. */
  #strays = new Set<string>();
  #size = 0;
  #claims = 0;
  #subscription: Subscription | undefined;

  constructor(options: {
    connection: Pick<NatsConnection, 'publish' | 'subscribe'>;
    requester: RequestPort;
    agent: string;
    clock: Clock;
    serverNow: () => number;
  }) {
    this.#connection = options.connection;
    this.#stream = new HeldStream(options);
    this.#agent = options.agent;
    this.#clock = options.clock;
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
  async watch(answerInstead: AnswerInstead): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#clock.sleep(STRAYS_MS, signal);
      // The next look is the retry.
      if (!signal.aborted) await this.findStrays(answerInstead).catch(ignoreNoAnswer);
    }
  }

  /**
   * Looks for commands that are stored and that this replica does not know: its news was lost, or it was stored only after it had
   * been answered, or who was to answer it has died. Once can be news under way; what two looks in a row find is seen to.
   * @throws NoAnswerError
   */
  async findStrays(answerInstead: AnswerInstead): Promise<void> {
    const strays = (await this.#stream.subjects()).filter((subject) => !this.#knows(subject));
    const again = strays.filter((subject) => this.#strays.has(subject));
    this.#strays = new Set(strays);
    for (const subject of again) await this.#seeTo(subject, answerInstead);
  }

  #knows(subject: string): boolean {
    const place = parseHeldSubject(subject);
    return place !== undefined && this.#mirror.get(place.entityId)?.has(place.key) === true;
  }

  async #seeTo(subject: string, answerInstead: AnswerInstead): Promise<void> {
    const last = await this.#stream.lastOn(subject);
    if (last === undefined) return;
    const { message, sequence } = last;
    if (!this.#dropped.has(takeOf(message))) {
      if (message.answer === undefined) return this.#set(message);
      answerInstead(message, message.answer.outcome);
    }
    await this.#stream.purge(message, sequence + 1);
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
    const ack = await this.#stream.store(command, [['Nats-Msg-Id', digestOf(takeOf(command))]]);
    if (ack.kind === 'stored') this.#stored(command, ack.sequence);
    if (ack.kind !== 'duplicate') return ack.kind === 'stored' ? 'held' : 'failed';
    try {
      const last = await this.#last(command);
      if (last === undefined) return 'answered';
      this.#set(last.command);
      return 'held';
    } catch (error) {
      ignoreNoAnswer(error);
      return 'failed';
    }
  }

  async replace(command: HeldCommand): Promise<boolean> {
    const last = await this.#last(command);
    if (last === undefined) return false;
    const ack = await this.#stream.store(command, expecting(last.sequence));
    if (ack.kind === 'stored') this.#stored(command, ack.sequence);
    return ack.kind === 'stored';
  }

  async claim(command: HeldCommand, outcome: StoreOutcome): Promise<HeldCommand | undefined> {
    const answer = { by: `${this.#name}.${++this.#claims}`, outcome };
    try {
      for (let tries = 1; tries <= CLAIM_TRIES; tries++) {
        const last = await this.#last(command, answer.by);
        if (last === undefined) return undefined;
        const claimed = { ...last.command, answer };
        if (last.isMine || (await this.#stream.store(claimed, expecting(last.sequence))).kind === 'stored') {
          this.#remember(last.command);
          return last.command;
        }
        // Another replica was first where this was refused; where nobody knows, the next look tells.
      }
    } catch (error) {
      ignoreNoAnswer(error);
    }
    return this.find(command.entityId, command.commandId) ?? command;
  }

  /**
   * A command as the server holds it. Undefined, and forgotten, where it does not any more, or another replica answers it.
   * @param claim of this replica @throws NoAnswerError
   */
  async #last(
    { commandId, entityId }: HeldCommand,
    claim?: string,
  ): Promise<{ command: HeldCommand; sequence: number; isMine: boolean } | undefined> {
    const last = await this.#stream.last({ commandId, entityId });
    if (last !== undefined) {
      const { answer, ...command } = last.message;
      const isMine = answer !== undefined && answer.by === claim;
      if (answer === undefined || isMine) return { command, sequence: last.sequence, isMine };
    }
    this.#forget(entityId, digestOf(commandId));
    return undefined;
  }

  #stored(command: HeldCommand, sequence: number): void {
    const isFirst = this.find(command.entityId, command.commandId) === undefined;
    this.#set(command);
    // Without it the earlier one stays until its time is over.
    if (!isFirst) this.#stream.purge(command, sequence).catch(() => {});
  }

  async drop(command: HeldCommand): Promise<void> {
    const { commandId, entityId } = command;
    this.#remember(command);
    for (let tries = 1; tries <= DROP_TRIES; tries++) {
      try {
        await this.#stream.purge(command);
        const { reply } = command;
        return this.#connection.publish(answeredSubject(this.#agent, entityId, digestOf(commandId)), utf8(reply));
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
    const message = readHeld(subject, data);
    if (message === undefined || this.#dropped.has(takeOf(message))) return undefined;
    if (message.answer !== undefined) {
      this.#forget(place.entityId, place.key);
      return undefined;
    }
    this.#set(message);
    return message;
  }

  #set(command: HeldCommand): void {
    const { commandId, entityId } = command;
    const key = digestOf(commandId);
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
    for await (const message of this.#stream.messages(filter)) {
      const command = this.#see(message.subject, message.data);
      if (command !== undefined) found.add(command.commandId);
    }
    for (const command of before) {
      const { commandId, entityId } = command;
      const isSame = this.find(entityId, commandId) === command;
      if (isSame && !found.has(commandId)) this.#forget(entityId, digestOf(commandId));
    }
  }
}

function ignoreNoAnswer(error: unknown): void {
  if (!(error instanceof NoAnswerError)) throw error;
}
