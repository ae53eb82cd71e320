import type { Logged } from '../../../src/history.ts';
import type { Random } from '../../../src/random.ts';
import type { SimulatedLog } from './simulated-log.ts';

/** Reads a log while it is written: it lags, and is given things twice. */
export class SimulatedWitness {
  readonly #log: SimulatedLog;
  readonly #random: Random;
  readonly #tell: (entry: Logged) => void;
  readonly #delivered: Logged[] = [];
  #at = 0;

  constructor(log: SimulatedLog, random: Random, tell: (entry: Logged) => void) {
    this.#log = log;
    this.#random = random;
    this.#tell = tell;
  }

  look(): void {
    if (this.#random.chance(0.02)) {
      // It connects again, and is given the last ones once more.
      for (const entry of this.#delivered.slice(-this.#random.int(1, 5))) this.#tell({ ...entry });
    }
    if (this.#random.chance(0.4)) while (this.#random.chance(0.8) && this.#deliver());
  }

  /** What is left of the log. */
  finish(): void {
    while (this.#deliver());
  }

  #deliver(): boolean {
    const entry = this.#log.after(this.#at);
    if (entry === undefined) return false;
    this.#at = entry.sequence;
    this.#delivered.push(entry);
    this.#tell(entry);
    return true;
  }
}
