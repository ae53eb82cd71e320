import { setTimeout as sleep } from 'node:timers/promises';
import type { Logged } from '../history.ts';

export interface OrderedLogOptions {
  /** The sequence with which the log begins. */
  readonly first: number;
  /** Whether messages leave the log again, as those of leases do. */
  readonly forgets: boolean;
  /** Given each message, in the order of the log, each once. */
  readonly onLogged: (logged: Logged) => void;
}

/** How long the event of a message is waited for that had left the log before it could be read, in milliseconds. */
const copyMs = 400;
const pollMs = 20;
const mostCopies = 20_000;

/**
 * Puts the log of an agent together from what was read of it and, where a message had left it before it could be read, from
 * the copy that the server sent as its event.
 */
export class OrderedLog {
  readonly #options: OrderedLogOptions;
  readonly #copies = new Map<number, Logged>();
  #next: number;
  #work: Promise<void> = Promise.resolve();
  /** Messages that were known from their events only. */
  copied = 0;
  /** Sequences of which nothing is known. */
  missed = 0;

  constructor(options: OrderedLogOptions) {
    this.#options = options;
    this.#next = options.first;
  }

  /** The sequence from which on nothing is told. */
  get next(): number {
    return this.#next;
  }

  /** As it was read, in order. */
  add(logged: Logged): void {
    const knownAt = performance.now();
    const tell = async (before: Promise<void>): Promise<void> => {
      await before;
      await this.#fillUpTo(logged.sequence, knownAt);
      this.#emit(logged);
    };
    this.#work = tell(this.#work);
  }

  /** As its event has it. */
  addCopy(logged: Logged): void {
    if (!this.#options.forgets || logged.sequence < this.#next) return;
    this.#copies.set(logged.sequence, logged);
    const [oldest] = this.#copies.size > mostCopies ? this.#copies.keys() : [];
    if (oldest !== undefined) this.#copies.delete(oldest);
  }

  /** Resolves when all that was read so far is told. */
  async settled(): Promise<void> {
    await this.#work;
  }

  /** The log has `lastSequence`, and nothing more is to be read: what is not known by now is missing. */
  async end(lastSequence: number): Promise<void> {
    await this.#work;
    await this.#fillUpTo(lastSequence + 1, performance.now());
  }

  /** @param knownAt when it was known that what comes before `end` has left the log */
  async #fillUpTo(end: number, knownAt: number): Promise<void> {
    const deadline = knownAt + (this.#options.forgets ? copyMs : 0);
    while (this.#next < end) {
      const copy = this.#copies.get(this.#next);
      if (copy !== undefined) {
        this.copied++;
        this.#emit(copy);
      } else if (performance.now() >= deadline) {
        this.missed++;
        this.#next++;
      } else {
        await sleep(pollMs);
      }
    }
  }

  #emit(logged: Logged): void {
    this.#next = logged.sequence + 1;
    this.#copies.delete(logged.sequence);
    this.#options.onLogged(logged);
  }
}
