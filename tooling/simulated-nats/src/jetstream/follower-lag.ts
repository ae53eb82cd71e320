import type { Random } from '../random.ts';
import type { SimulatedTime } from '../time.ts';

interface Follower {
  /** What it has applied. */
  version: number;
  /** What it will have applied, and when. */
  coming: { version: number; at: number }[];
  lastAt: number;
  heldUntil: number;
}

/** How far the followers of a replicated stream are: they answer direct gets from what they have. */
export class FollowerLag {
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #lagMs: readonly [least: number, most: number];
  readonly #followers = new Map<number, Follower>();
  #version = 0;

  /** @param nodes of a replicated stream; any of them can come to lead it */
  constructor(
    around: { time: SimulatedTime; random: Random; lagMs: readonly [least: number, most: number] },
    nodes: number,
  ) {
    this.#time = around.time;
    this.#random = around.random;
    this.#lagMs = around.lagMs;
    for (let node = 0; node < nodes; node++) {
      this.#followers.set(node, { version: 0, coming: [], lastAt: 0, heldUntil: 0 });
    }
  }

  /** The leader has applied a change. */
  changed(version: number): void {
    this.#version = version;
    for (const follower of this.#followers.values()) {
      const { now } = this.#time;
      follower.lastAt = Math.max(follower.lastAt, now + this.#random.between(...this.#lagMs), follower.heldUntil);
      follower.coming.push({ version, at: follower.lastAt });
    }
  }

  /** How many changes a follower has applied. */
  versionOf(node: number): number {
    const follower = this.#followers.get(node);
    if (follower === undefined) return this.#version;
    const { coming } = follower;
    let count = 0;
    while (count < coming.length && (coming[count]?.at ?? 0) <= this.#time.now) count++;
    if (count > 0) follower.version = coming[count - 1]?.version ?? follower.version;
    coming.splice(0, count);
    return follower.version;
  }

  /** No follower has applied less. */
  get oldest(): number {
    let oldest = this.#version;
    for (const node of this.#followers.keys()) oldest = Math.min(oldest, this.versionOf(node));
    return oldest;
  }

  /** The follower applies nothing for so long. */
  hold(node: number, ms: number): void {
    const follower = this.#followers.get(node);
    if (follower !== undefined) follower.heldUntil = Math.max(follower.heldUntil, this.#time.now + ms);
  }
}
