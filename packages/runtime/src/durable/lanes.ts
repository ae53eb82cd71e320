import type { Item } from './in-hand.ts';

/** Entities that are remembered in a run. */
const MAX_LANES = 20_000;

/** The messages of one entity. */
export interface Lane {
  readonly entity: string;
  /** In the order of the stream. */
  waiting: Item[];
  /** Whether the first of `waiting`, or else the next delivery of this run, is the oldest that is not done. */
  isChecked: boolean;
  /** Some were delivered and not kept. */
  hasMore: boolean;
  isBusy: boolean;
  /** It waits for a further try. */
  isResting: boolean;
}

/** The messages in hand by entity. One that has no messages keeps what is known of its order. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();

  of(entity: string): Lane {
    const known = this.#lanes.get(entity);
    if (known !== undefined) return known;
    if (this.#lanes.size >= MAX_LANES) this.#forgetIdle();
    const lane = { entity, waiting: [], isChecked: false, hasMore: false, isBusy: false, isResting: false };
    this.#lanes.set(entity, lane);
    return lane;
  }

  [Symbol.iterator](): Iterator<Lane> {
    return this.#lanes.values();
  }

  /** The run is over: nothing that it was known by holds any more. @returns what waited in a lane */
  reset(lane: Lane): Item[] {
    const { isBusy, waiting } = lane;
    Object.assign(lane, { waiting: [], isChecked: false, hasMore: false });
    if (!isBusy) this.#lanes.delete(lane.entity);
    return waiting;
  }

  #forgetIdle(): void {
    for (const { entity, isBusy, waiting } of this) if (!isBusy && waiting.length === 0) this.#lanes.delete(entity);
  }
}

/** Adds a message to its lane, in the order of the stream. */
export function insert(lane: Lane, item: Item): void {
  const behind = lane.waiting.findLastIndex(({ message }) => message.sequence < item.message.sequence);
  lane.waiting.splice(behind + 1, 0, item);
}
