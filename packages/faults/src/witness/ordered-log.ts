import { setTimeout as sleep } from 'node:timers/promises';
import type { Logged } from '../history.ts';

export interface OrderedLogOptions {
  /** Whether messages leave the log again, as those of leases do. */
  readonly forgets: boolean;
  /** Told each message, in the order of the log, each once. */
  readonly onLogged: (logged: Logged) => void;
}

/** How long a message that had left the log before it could be read is waited for by way of its event, in milliseconds. */
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
  /** The sequence to tell next. A log does not begin at 1: the first that is known sets it. */
  #next: number | undefined;
  #work: Promise<void> = Promise.resolve();
  #copied = 0;
  #missed = 0;
  #told = 0;

  constructor(options: OrderedLogOptions) {
    this.#options = options;
  }

  /** Messages told. */
  get told(): number {
    return this.#told;
  }

  /** Messages that were known from their events only. */
  get copied(): number {
    return this.#copied;
  }

  /** Sequences of which nothing is known. */
  get missed(): number {
    return this.#missed;
  }

  /** As it was read, in order. */
  add(logged: Logged): void {
    this.#work = this.#work.then(() => this.#tell(logged));
  }

  /** As its event has it. */
  addCopy(logged: Logged): void {
    if (!this.#options.forgets || logged.sequence < (this.#next ?? 0)) return;
    this.#copies.set(logged.sequence, logged);
    if (this.#copies.size <= mostCopies) return;
    const [oldest] = this.#copies.keys();
    if (oldest !== undefined) this.#copies.delete(oldest);
  }

  /** The log has `lastSequence`, and nothing more is to be read: what is not known by now is missing. */
  async end(lastSequence: number): Promise<void> {
    await this.#work;
    await this.#fillUpTo(lastSequence + 1);
  }

  async #tell(logged: Logged): Promise<void> {
    await this.#fillUpTo(logged.sequence);
    this.#emit(logged);
  }

  async #fillUpTo(end: number): Promise<void> {
    const deadline = performance.now() + (this.#options.forgets ? copyMs : 0);
    let next = (this.#next ??= Math.min(end, ...this.#copies.keys()));
    for (; next < end; next = this.#next) {
      const copy = this.#copies.get(next);
      if (copy !== undefined) {
        this.#copied++;
        this.#emit(copy);
      } else if (performance.now() > deadline) {
        this.#missed++;
        this.#next = next + 1;
      } else {
        await sleep(pollMs);
      }
    }
  }

  #emit(logged: Logged): void {
    this.#next = logged.sequence + 1;
    this.#copies.delete(logged.sequence);
    this.#told++;
    this.#options.onLogged(logged);
  }
}
