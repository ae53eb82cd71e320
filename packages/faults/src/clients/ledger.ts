import type { Random } from '../random.ts';
import type { Command } from './command.ts';

/** A command that may be asked again. */
export interface Remembered {
  readonly command: Command;
  readonly sentAtMs: number;
  /** What clients knew of its entity's version by then. */
  readonly version: number;
}

const capacity = 1_000;

/** The server recognises a command id for ten minutes after its commit; what is asked again later may be a new command. */
const askAgainWithinMs = 8 * 60_000;

/**
 * Commands that may be asked again: those that committed, and those of which nobody knows. (One that was refused would be
 * decided anew, and may be committed then.) Keeps some of every age up to eight minutes.
 */
export class Ledger {
  readonly #remembered: Remembered[] = [];

  add(entry: Remembered, random: Random): void {
    if (this.#remembered.length < capacity) this.#remembered.push(entry);
    else this.#remembered[random.int(0, capacity - 1)] = entry;
  }

  clear(): void {
    this.#remembered.length = 0;
  }

  /** Any of them; undefined when the one that was drawn is too old, or there is none. */
  draw(nowMs: number, random: Random): Remembered | undefined {
    if (this.#remembered.length === 0) return undefined;
    const index = random.int(0, this.#remembered.length - 1);
    const drawn = this.#remembered[index] as Remembered;
    if (nowMs - drawn.sentAtMs <= askAgainWithinMs) return drawn;
    const last = this.#remembered.pop() as Remembered;
    if (index < this.#remembered.length) this.#remembered[index] = last;
    return undefined;
  }
}
