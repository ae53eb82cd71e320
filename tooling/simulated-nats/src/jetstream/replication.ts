import type { Random } from '../random.ts';
import type { Cancel, SimulatedTime } from '../time.ts';

/** A change that a leader has taken in. */
interface Proposal {
  at: number;
  /** @param isOwn whether the leader that took it in applies it, and can answer for it */
  apply: (isOwn: boolean) => void;
}

export interface ReplicationOptions {
  time: SimulatedTime;
  random: Random;
  isReplicated: boolean;
  /** How long a majority takes to store a change, in milliseconds. */
  commitMs: readonly [least: number, most: number];
}

/**
 * The replicated log of a stream or consumer: what its leader takes in is applied later, in order. Without replicas it is
 * applied at once. A leader that loses its majority stalls: it takes in and stores nothing. When another one follows, it has
 * only the first part of what was not stored.
 */
export class Replication {
  readonly isReplicated: boolean;
  readonly #options: ReplicationOptions;
  #proposals: Proposal[] = [];
  #lastAt = 0;
  #stalledUntil = 0;
  #cancel: Cancel = () => {};
  #isStopped = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
    this.isReplicated = options.isReplicated;
  }

  get inFlight(): number {
    return this.#proposals.length;
  }

  propose(apply: (isOwn: boolean) => void): void {
    if (this.#isStopped) return;
    if (!this.isReplicated) return apply(true);
    const { commitMs, random, time } = this.#options;
    this.#lastAt = Math.max(this.#lastAt, time.now + random.between(...commitMs));
    this.#proposals.push({ at: this.#lastAt, apply });
    if (this.#proposals.length === 1) this.#wait();
  }

  /** Stores nothing for so long. */
  stall(ms: number): void {
    if (!this.isReplicated) return;
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#options.time.now + ms);
    this.#wait();
  }

  /** Another leader: of what is not stored yet, it has and stores some of the first. */
  changeLeader(): void {
    const kept = this.#options.random.below(this.#proposals.length + 1);
    const proposals = this.#proposals.splice(0, this.#proposals.length);
    this.#stalledUntil = 0;
    this.#lastAt = 0;
    this.#cancel();
    for (const { apply } of proposals.slice(0, kept)) apply(false);
  }

  /** Nothing is ever stored again. */
  stop(): void {
    this.#isStopped = true;
    this.#proposals = [];
    this.#cancel();
  }

  #wait(): void {
    this.#cancel();
    const [first] = this.#proposals;
    if (first === undefined) return;
    this.#cancel = this.#options.time.at(Math.max(first.at, this.#stalledUntil), () => this.#commit());
  }

  #commit(): void {
    const { time } = this.#options;
    for (let first = this.#proposals[0]; first !== undefined; first = this.#proposals[0]) {
      if (first.at > time.now || this.#stalledUntil > time.now) break;
      this.#proposals.shift();
      first.apply(true);
    }
    this.#wait();
  }
}
