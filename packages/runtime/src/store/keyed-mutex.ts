/** One at a time per key, in order of arrival; all keys at once (I4). */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work of the key has ended; a failure ends only itself. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const tail = this.#tails.get(key);
    const mine = tail === undefined ? work() : tail.then(work, work);
    this.#tails.set(key, mine);
    const leave = (): void => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    };
    mine.then(leave, leave);
    return mine;
  }

  /** Keys at work. */
  get size(): number {
    return this.#tails.size;
  }
}
