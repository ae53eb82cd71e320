/** Work on each lock one at a time. What is asked for meanwhile is done once more after that, however often it was asked. */
export class Handovers<Seen> {
  readonly #work: (entityId: string, seen: Seen | undefined) => Promise<void>;
  /** Locks at work; true = once more after that. */
  readonly #again = new Map<string, boolean>();

  constructor(work: (entityId: string, seen: Seen | undefined) => Promise<void>) {
    this.#work = work;
  }

  /** @param seen the lock as it has just been seen, to save a look */
  async run(entityId: string, seen: Seen | undefined): Promise<void> {
    if (this.#again.has(entityId)) {
      this.#again.set(entityId, true);
      return;
    }
    try {
      for (let known = seen; ; known = undefined) {
        this.#again.set(entityId, false);
        await this.#work(entityId, known);
        if (this.#again.get(entityId) !== true) return;
      }
    } finally {
      this.#again.delete(entityId);
    }
  }
}
