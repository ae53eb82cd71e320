import { identityOf, type QueuedMessage } from './delivery.ts';

/** A message in the hands of a worker. */
export interface Item {
  readonly message: QueuedMessage;
  /** Where it is acknowledged; undefined: it was found in the stream, and not delivered. */
  reply: string | undefined;
  /** Whether this run has delivered it for the first time. */
  readonly isFirst: boolean;
  /** When it was delivered last, by the monotonic clock. */
  takenAt: number;
}

/** All messages in the hands of a worker. */
export class InHand {
  readonly #items = new Map<string, Item>();
  #bytes = 0;

  get size(): number {
    return this.#items.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(message: QueuedMessage): Item | undefined {
    return this.#items.get(identityOf(message));
  }

  has(item: Item): boolean {
    return this.find(item.message) === item;
  }

  add(item: Item): Item {
    this.#items.set(identityOf(item.message), item);
    this.#bytes += item.message.data.length;
    return item;
  }

  /** @returns whether it was there */
  remove(item: Item): boolean {
    if (!this.has(item)) return false;
    this.#bytes -= item.message.data.length;
    return this.#items.delete(identityOf(item.message));
  }

  clear(): void {
    this.#items.clear();
    this.#bytes = 0;
  }

  /** How many there are up to a sequence. */
  upTo(sequence: number): number {
    return [...this.#items.values()].filter(({ message }) => message.sequence <= sequence).length;
  }
}
