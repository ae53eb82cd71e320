import { Turns } from '../store/turns.ts';

/** One piece of work in its lane. */
export interface Lane {
  /** Runs a try, as soon as fewer than the most that may run at once do. */
  attempt<T>(work: () => Promise<T>): Promise<T>;
  /** Waits between two tries. The lane waits with it; others take its place meanwhile. */
  rest(sleep: () => Promise<void>): Promise<void>;
}

/**
 * Work in lanes: what belongs to one key is done one after the other, in the order in which it was added, however long a piece
 * of it takes; different keys go on at the same time, but only so many at once.
 */
export class Lanes {
  readonly #turns = new Turns();
  readonly #most: number;
  readonly #queue: (() => void)[] = [];
  /** Pieces of work by key. */
  readonly #sizes = new Map<string, number>();
  readonly #resting = new Set<string>();
  #running = 0;
  #size = 0;

  /** @param most tries that may run at once */
  constructor(most: number) {
    this.#most = most;
  }

  /** Pieces of work that have not ended. */
  get size(): number {
    return this.#size;
  }

  /** Those of them that stand behind one that rests, or rest. */
  get resting(): number {
    let count = 0;
    for (const key of this.#resting) count += this.#sizes.get(key) ?? 0;
    return count;
  }

  /** @param work must not reject */
  async add(key: string, work: (lane: Lane) => Promise<void>): Promise<void> {
    this.#size++;
    this.#sizes.set(key, (this.#sizes.get(key) ?? 0) + 1);
    const lane: Lane = {
      attempt: (one) => this.#attempt(one),
      rest: async (sleep) => {
        this.#resting.add(key);
        await sleep().finally(() => this.#resting.delete(key));
      },
    };
    await this.#turns.take(key, () => work(lane));
    this.#size--;
    const left = (this.#sizes.get(key) ?? 1) - 1;
    if (left === 0) this.#sizes.delete(key);
    else this.#sizes.set(key, left);
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#most) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      // Whoever is next takes the place over.
      const next = this.#queue.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
