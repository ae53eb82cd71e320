interface Known {
  /** 0 while the message is in process. */
  sequence: number;
  at: number;
}

/** The message ids of a stream, for as long as its window. */
export class MessageIds {
  readonly #known = new Map<string, Known>();
  readonly #windowMs: number;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** The sequence of the message with this id; 0 while it is in process; undefined for an id that is not known. */
  find(id: string, now: number): number | undefined {
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    if (now - known.at < this.#windowMs) return known.sequence;
    this.#known.delete(id);
    return undefined;
  }

  remember(id: string, sequence: number, now: number): void {
    if (this.#windowMs <= 0) return;
    this.#known.delete(id);
    this.#known.set(id, { sequence, at: now });
  }

  /** A new leader does not know of what was in process. */
  forgetInProcess(): void {
    for (const [id, { sequence }] of this.#known) if (sequence === 0) this.#known.delete(id);
  }

  clear(): void {
    this.#known.clear();
  }
}
