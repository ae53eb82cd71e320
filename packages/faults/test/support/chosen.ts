import { Random } from '../../src/random.ts';

/** Chance that chooses what a test wants, wherever it is among what may be picked; else the first. */
export class Chosen extends Random {
  readonly #wanted: readonly unknown[];

  constructor(...wanted: readonly unknown[]) {
    super(1);
    this.#wanted = wanted;
  }

  override pick<T>(from: readonly T[]): T {
    // Of an entry, its key.
    const names = (each: T): unknown => (Array.isArray(each) ? (each[0] as unknown) : each);
    return from.find((each) => this.#wanted.includes(names(each))) ?? super.pick(from.slice(0, 1));
  }

  override some<T>(from: readonly T[]): T[] {
    return [...from];
  }

  override int(lowest: number): number {
    return lowest;
  }

  override chance(probability: number): boolean {
    return probability === 1;
  }
}
