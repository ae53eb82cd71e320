import type { HeaderBlock } from '../headers.ts';
import { isWildcard, tokensOf } from '../subjects.ts';

/** A message as a stream keeps it. */
export interface StoredMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly headers: HeaderBlock | undefined;
  readonly data: Uint8Array;
  /** Microseconds since 1970. */
  readonly micros: number;
  /** The count of changes to the stream with which it came. */
  readonly cameWith: number;
  /** The one with which it went; `Infinity` while it is there. */
  wentWith: number;
}

interface Level {
  /** Messages on exactly this subject, oldest first. */
  messages: StoredMessage[];
  readonly next: Map<string, Level>;
}

/** The messages of one stream, found by sequence, by subject and by filter without a walk over all of them. */
export class MessageStore {
  /** Oldest first, those that are gone included until there are too many. */
  #order: StoredMessage[] = [];
  readonly #bySequence = new Map<number, StoredMessage>();
  readonly #root: Level = { messages: [], next: new Map() };
  #lastSequence: number;
  #bytes = 0;
  #hasBegun = false;
  /** Counts changes. */
  version = 0;

  /** @param firstSequence of the first message that will be stored */
  constructor(firstSequence: number) {
    this.#lastSequence = firstSequence - 1;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  get firstSequence(): number {
    const first = this.#first();
    if (first !== undefined) return first.sequence;
    // A stream that never held a message and never was purged begins at 0.
    return this.#lastSequence === 0 && !this.#hasBegun ? 0 : this.#lastSequence + 1;
  }

  begin(): void {
    this.#hasBegun = true;
  }

  get count(): number {
    return this.#bySequence.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All that is there, oldest first. */
  *all(): Iterable<StoredMessage> {
    for (const message of this.#order) if (message.wentWith === Infinity) yield message;
  }

  add(subject: string, headers: HeaderBlock | undefined, data: Uint8Array, micros: number): StoredMessage {
    const message: StoredMessage = {
      sequence: ++this.#lastSequence,
      subject,
      headers,
      data,
      micros,
      cameWith: ++this.version,
      wentWith: Infinity,
    };
    this.#order.push(message);
    this.#bySequence.set(message.sequence, message);
    this.#level(subject).messages.push(message);
    this.#bytes += sizeOf(message);
    return message;
  }

  /** Puts a message of a backup back. */
  restore(message: StoredMessage): void {
    this.#lastSequence = message.sequence - 1;
    this.add(message.subject, message.headers, message.data, message.micros);
  }

  /** Sets the last sequence of a stream that lost its newest messages. */
  advanceTo(lastSequence: number): void {
    this.#lastSequence = Math.max(this.#lastSequence, lastSequence);
  }

  remove(sequence: number): StoredMessage | undefined {
    const message = this.#bySequence.get(sequence);
    if (message === undefined) return undefined;
    this.#bySequence.delete(sequence);
    message.wentWith = ++this.version;
    this.#bytes -= sizeOf(message);
    const { messages } = this.#level(message.subject);
    messages.splice(messages.indexOf(message), 1);
    return message;
  }

  at(sequence: number): StoredMessage | undefined {
    return this.#bySequence.get(sequence);
  }

  last(filter: string): StoredMessage | undefined {
    let found: StoredMessage | undefined;
    this.#visit(filter, ({ messages }) => {
      const newest = messages.at(-1);
      if (newest !== undefined && newest.sequence > (found?.sequence ?? 0)) found = newest;
    });
    return found;
  }

  /** The first at or after a sequence that a filter lets through. */
  next(filter: string, from: number): StoredMessage | undefined {
    let found: StoredMessage | undefined;
    this.#visit(filter, ({ messages }) => {
      const candidate = messages[placeOf(messages, from)];
      if (candidate !== undefined && candidate.sequence < (found?.sequence ?? Infinity)) found = candidate;
    });
    return found;
  }

  /** The first at or after a sequence. */
  nextOfAll(from: number): StoredMessage | undefined {
    for (let at = placeOf(this.#order, from); at < this.#order.length; at++) {
      const message = this.#order[at] as StoredMessage;
      if (message.wentWith === Infinity) return message;
    }
    return undefined;
  }

  /** All that a filter lets through, oldest first. */
  matching(filter: string): StoredMessage[] {
    const found: StoredMessage[] = [];
    this.#visit(filter, ({ messages }) => found.push(...messages));
    return found.sort((one, other) => one.sequence - other.sequence);
  }

  /** How many messages each subject has. */
  subjects(filter: string): Map<string, number> {
    const found = new Map<string, number>();
    this.#visit(filter, ({ messages }) => {
      const [first] = messages;
      if (first !== undefined) found.set(first.subject, messages.length);
    });
    return found;
  }

  countFrom(filter: string, from: number): number {
    let count = 0;
    this.#visit(filter, ({ messages }) => {
      count += messages.length - placeOf(messages, from);
    });
    return count;
  }

  /**
   * The messages as they were after so many changes, newest first. What went long ago may be missing.
   * @param after nothing older than this sequence is looked at
   */
  *asOf(version: number, after = 0): Iterable<StoredMessage> {
    for (let at = this.#order.length - 1; at >= 0; at--) {
      const message = this.#order[at] as StoredMessage;
      if (message.sequence <= after) return;
      if (message.cameWith <= version && message.wentWith > version) yield message;
    }
  }

  /** Forgets what went by then. */
  compact(version: number): void {
    if (this.#order.length < 64 || this.#order.length < 2 * this.#bySequence.size) return;
    this.#order = this.#order.filter(({ wentWith }) => wentWith > version);
  }

  #first(): StoredMessage | undefined {
    return this.#order.find(({ wentWith }) => wentWith === Infinity);
  }

  #level(subject: string): Level {
    let level = this.#root;
    for (const token of tokensOf(subject)) {
      let next = level.next.get(token);
      if (next === undefined) {
        next = { messages: [], next: new Map() };
        level.next.set(token, next);
      }
      level = next;
    }
    return level;
  }

  #visit(filter: string, see: (level: Level) => void): void {
    if (!isWildcard(filter) && filter !== '') {
      let level: Level | undefined = this.#root;
      for (const token of tokensOf(filter)) level = level?.next.get(token);
      if (level !== undefined) see(level);
      return;
    }
    visit(this.#root, filter === '' ? ['>'] : tokensOf(filter), 0, see);
  }
}

function sizeOf({ data, headers, subject }: StoredMessage): number {
  return data.length + (headers?.size ?? 0) + subject.length;
}

function visit(level: Level, filter: readonly string[], at: number, see: (level: Level) => void): void {
  if (at === filter.length) return see(level);
  const token = filter[at] as string;
  if (token === '>') {
    for (const next of level.next.values()) {
      see(next);
      visit(next, filter, at, see);
    }
  } else if (token === '*') {
    for (const next of level.next.values()) visit(next, filter, at + 1, see);
  } else {
    const next = level.next.get(token);
    if (next !== undefined) visit(next, filter, at + 1, see);
  }
}

/** Where the first message at or after a sequence stands. */
function placeOf(messages: readonly StoredMessage[], sequence: number): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((messages[middle] as StoredMessage).sequence < sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}
