import type { Told } from '../history.ts';

/** From this moment on, an entity is known to be at this version or above. */
export interface Landmark {
  readonly atMs: number;
  readonly version: number;
  readonly told: Told;
}

/** Kept at most; whoever is sent looks among the last few. Forgetting one only makes a check milder. */
const KEPT = 64;

/** What clients were told of an entity's versions, as far as later commands may be held to it. */
export class Landmarks {
  /** Oldest first; times and versions both grow. */
  readonly #known: Landmark[] = [];

  add(landmark: Landmark): void {
    const known = this.#known;
    for (let last = known.at(-1); last !== undefined; last = known.at(-1)) {
      if (last.atMs <= landmark.atMs) break;
      // Told out of order: keep whichever says more.
      if (last.version > landmark.version) return;
      known.pop();
    }
    if ((known.at(-1)?.version ?? 0) >= landmark.version) return;
    known.push(landmark);
    if (known.length > 2 * KEPT) known.splice(0, KEPT);
  }

  /** The highest that was known before this moment. */
  before(atMs: number): Landmark | undefined {
    return this.#known.findLast((landmark) => landmark.atMs < atMs);
  }
}
