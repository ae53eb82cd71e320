import type { Cancel } from '../time.ts';
import { advisory } from './advisories.ts';
import type { Surroundings } from './surroundings.ts';

/** Which client of a pinned group is served alone, until it has not pulled for a while. */
export class Pin {
  readonly #around: Surroundings;
  readonly #place: { stream: string; consumer: string };
  readonly #onFree: () => void;
  #id = '';
  #since = 0;
  #count = 0;
  #cancel: Cancel = () => {};

  /** @param onFree told when the time of a pin is over */
  constructor(around: Surroundings, place: { stream: string; consumer: string }, onFree: () => void) {
    this.#around = around;
    this.#place = place;
    this.#onFree = onFree;
  }

  /** Empty while nobody is pinned. */
  get id(): string {
    return this.#id;
  }

  /** Milliseconds since the epoch. */
  get since(): number {
    return this.#since;
  }

  assign(group: string, forMs: number): string {
    const { consumer } = this.#place;
    this.#id = `${consumer}-pin-${++this.#count}-${this.#around.random.below(1_000_000)}`;
    this.#since = this.#around.time.now;
    this.keep(group, forMs);
    this.#tell('consumer_group_pinned', { group, pinned_id: this.#id });
    return this.#id;
  }

  /** Its client has pulled. */
  keep(group: string, forMs: number): void {
    this.#cancel();
    this.#cancel = this.#around.time.after(forMs, () => {
      this.free();
      this.#tell('consumer_group_unpinned', { group, reason: 'timeout' });
      this.#onFree();
    });
  }

  /** An operator, or a client that leaves, ends it. */
  unpin(group: string): void {
    this.free();
    this.#tell('consumer_group_unpinned', { group, reason: 'admin' });
  }

  /** Nobody is pinned any more. */
  free(): void {
    this.#cancel();
    this.#id = '';
  }

  #tell(kind: 'consumer_group_pinned' | 'consumer_group_unpinned', details: object): void {
    advisory(this.#around, kind, this.#place.stream, this.#place.consumer, details);
  }
}
