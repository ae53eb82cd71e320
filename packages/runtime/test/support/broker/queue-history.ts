import { decidedSubject, deadLetterFilter, HEADERS, queuedCommandWildcard, refusedSubject } from '@meshforge/protocol';
import { digestOf } from '../../../src/nats/digest.ts';
import type { SimulatedBroker } from './broker.ts';
import { isMatch, valueOf } from './messages.ts';
import type { Telling, Try } from './queue-replicas.ts';
import type { Kept } from './stream.ts';

const AGENT = 'counter';
const decoder = new TextDecoder();

/** A command that somebody has sent. */
export interface Sent {
  commandId: string;
  entityId: string;
  /** Whether it cannot but end as a dead letter. */
  isPoison: boolean;
  /** What its sender was told when taking it back. */
  cancelled?: boolean | undefined;
}

/** Follows a history, and says what is wrong with it. */
export class QueueHistory {
  readonly flaws: string[] = [];
  readonly tellings: Telling[] = [];
  readonly #broker: SimulatedBroker;
  /** Those whose replica still believes that they are its own. */
  #tries: Try[] = [];
  readonly #sent = new Map<string, Sent>();
  /** Of commands that came into the queue: where they stood. */
  readonly #places = new Map<string, number>();

  constructor(broker: SimulatedBroker) {
    this.#broker = broker;
    const { commands } = broker;
    const { onRemoved, onStored } = commands;
    commands.onStored = (message) => {
      this.#stored(message);
      onStored(message);
    };
    commands.onRemoved = (message) => {
      this.#removed(message);
      onRemoved(message);
    };
  }

  get queued(): readonly Kept[] {
    return this.#broker.commands.messages.filter(isQueued);
  }

  add(sent: Sent): void {
    this.#sent.set(sent.commandId, sent);
  }

  tries(begun: Try): void {
    const { commandId, entityId, link } = begun;
    this.#tries = this.#tries.filter((other) => other !== begun && !other.link.isDead && other.isMine());
    const others = this.#tries.filter((other) => other.link !== link && other.entityId === entityId);
    for (const other of others) this.#flaw(commandId, `is decided while another replica may decide ${other.commandId}`);
    this.#tries.push(begun);
  }

  told(telling: Telling): void {
    const { commandId, link, outcome } = telling;
    this.tellings.push(telling);
    this.#tries = this.#tries.filter((other) => other.link !== link || other.commandId !== commandId);
    const place = this.#places.get(commandId) ?? 0;
    if (outcome.kind === 'committed' || outcome.kind === 'replayed') {
      const [found] = this.#commitsOf(commandId);
      if (found === undefined) this.#flaw(commandId, `was told to be committed, and is not in the log`);
      else if (decoder.decode(found.data) !== outcome.payload) this.#flaw(commandId, 'was told another commit');
    } else if (this.#sent.get(commandId)?.isPoison === true) {
      if (this.#lettersOf(commandId).length === 0) this.#flaw(commandId, 'was told to have failed before it was dead');
    } else if ('payload' in outcome) {
      const text = this.#refusalOf(place);
      const { payload } = text === '' ? {} : (JSON.parse(text) as { payload?: string });
      if (payload !== outcome.payload) this.#flaw(commandId, `was told ${outcome.payload}, and written is ${text}`);
    }
  }

  /** After everything has come to rest. */
  check(): string[] {
    const left = this.queued.map(({ lines }) => idOf(lines));
    if (left.length > 0) this.flaws.push(`left in the queue: ${left.join(', ')}`);
    for (const sent of this.#sent.values()) this.#check(sent);
    const known = this.#broker.log.messages.map(({ lines }) => this.#sent.get(idOf(lines)));
    for (const entityId of new Set(known.map((sent) => sent?.entityId))) {
      const own = known.filter((sent) => sent !== undefined && sent.entityId === entityId) as Sent[];
      const places = own.map(({ commandId }) => this.#places.get(commandId) ?? 0);
      if (places.some((place, i) => place < (places[i - 1] ?? 0))) {
        this.flaws.push(`commands on ${entityId} were executed in another order than stored: ${places.join(', ')}`);
      }
    }
    const poison = [...this.#sent.values()].filter(({ isPoison }) => isPoison).length;
    const letters = this.#broker.letters.messages.filter(({ subject }) => isMatch(subject, deadLetterFilter(AGENT)));
    if (letters.length !== poison)
      this.flaws.push(`${letters.length} dead letters of ${poison} that cannot be executed`);
    return this.flaws;
  }

  #check({ cancelled, commandId, isPoison }: Sent): void {
    const commits = this.#commitsOf(commandId).length;
    const told = this.tellings.filter((telling) => telling.commandId === commandId).map(({ outcome }) => outcome);
    const wrong = (what: string): void => this.#flaw(commandId, what);
    if (commits > 1) wrong('is in the log twice');
    if (isPoison && commits > 0) wrong('cannot be executed, and was');
    if (isPoison && this.#lettersOf(commandId).length !== 1) {
      wrong(`is dead ${this.#lettersOf(commandId).length} times`);
    }
    if (cancelled === true) {
      if (commits + told.length > 0) wrong('was executed, and told to be cancelled');
      return;
    }
    const mayBeCancelled = cancelled === undefined && this.#decided(commandId);
    if (told.length === 0 && !mayBeCancelled) wrong('was never told of');
    if (mayBeCancelled && told.length > 0) wrong('was executed, and is cancelled');
    const stories = new Set(told.map((outcome) => ('payload' in outcome && !isPoison ? outcome.payload : '')));
    if (stories.size > 1) wrong(`was told differently: ${[...stories].join(' and ')}`);
    if (told.some((outcome) => 'code' in outcome) && commits > 0) wrong('was told a refusal, and is in the log');
  }

  #stored(message: Kept): void {
    if (!isQueued(message)) return;
    const id = idOf(message.lines);
    if (this.#places.has(id)) this.#flaw(id, 'is in the queue twice');
    this.#places.set(id, message.sequence);
  }

  #removed(message: Kept): void {
    if (!isQueued(message)) return;
    const id = idOf(message.lines);
    const isRefused = this.#refusalOf(message.sequence) !== '';
    const isSeenTo = this.#commitsOf(id).length > 0 || this.#lettersOf(id).length > 0 || isRefused || this.#decided(id);
    if (!isSeenTo) this.#flaw(id, 'has left the queue, and nothing has become of it');
  }

  /** What is written down of the command at that place; empty also where it says that it is not refused. */
  #refusalOf(place: number): string {
    const written = this.#broker.commands.lastOf(refusedSubject(AGENT, place));
    return written === undefined ? '' : decoder.decode(written.data);
  }

  #decided(commandId: string): boolean {
    const cancelled = decidedSubject(AGENT, digestOf(commandId), 'cancelled');
    return this.#broker.commands.lastOf(cancelled) !== undefined;
  }

  #commitsOf(commandId: string): Kept[] {
    return this.#broker.log.messages.filter(({ lines }) => idOf(lines) === commandId);
  }

  #lettersOf(commandId: string): Kept[] {
    return this.#broker.letters.messages.filter(({ lines }) => idOf(lines) === commandId);
  }

  #flaw(commandId: string, what: string): void {
    this.flaws.push(`${commandId} ${what}`);
  }
}

function isQueued({ subject }: Kept): boolean {
  return isMatch(subject, queuedCommandWildcard(AGENT));
}

function idOf(lines: Kept['lines']): string {
  return valueOf(lines, HEADERS.commandId);
}
