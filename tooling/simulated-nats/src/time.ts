/** Takes back what was to be done. */
export type Cancel = () => void;

interface Timer {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/**
 * Time that passes only when nobody has anything left to do: between two events all promises settle. What is due at the same
 * moment happens in the order in which it was asked for.
 */
export class SimulatedTime {
  #now: number;
  /** A binary heap: the earliest timer stands first. */
  readonly #timers: Timer[] = [];
  #order = 0;
  /** How many events have happened. */
  events = 0;

  /** @param now milliseconds since the epoch */
  constructor(now: number) {
    this.#now = now;
  }

  /** Milliseconds since the epoch. */
  get now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Cancel {
    return this.at(this.#now + Math.max(0, ms), run);
  }

  at(moment: number, run: () => void): Cancel {
    const timer: Timer = { at: Math.max(moment, this.#now), order: this.#order++, run };
    this.#push(timer);
    return () => {
      timer.run = undefined;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass until the moment, or until the condition holds. */
  async pass(until: number, isOver: () => boolean = () => false): Promise<void> {
    for (;;) {
      await settled();
      if (isOver()) return;
      const due = this.#next(until);
      if (due === undefined) break;
      this.#now = due.at;
      this.events++;
      due.run?.();
    }
    this.#now = Math.max(this.#now, until);
  }

  /** What the work comes to, with as much time as it takes. @throws Error when it takes longer than `mostMs` */
  async through<T>(work: Promise<T>, mostMs = 600_000): Promise<T> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    work.then(over, over);
    await this.pass(this.#now + mostMs, () => isOver);
    if (!isOver) throw new Error(`the work takes longer than ${mostMs} ms of simulated time`);
    return await work;
  }

  #next(until: number): Timer | undefined {
    for (;;) {
      const first = this.#timers[0];
      if (first === undefined || first.at > until) return undefined;
      this.#pop();
      if (first.run !== undefined) return first;
    }
  }

  #push(timer: Timer): void {
    const timers = this.#timers;
    let hole = timers.length;
    timers.push(timer);
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      const other = timers[above] as Timer;
      if (isBefore(other, timer)) break;
      timers[hole] = other;
      hole = above;
    }
    timers[hole] = timer;
  }

  #pop(): void {
    const timers = this.#timers;
    const last = timers.pop() as Timer;
    if (timers.length === 0) return;
    let hole = 0;
    for (;;) {
      let below = 2 * hole + 1;
      const right = timers[below + 1];
      if (right !== undefined && isBefore(right, timers[below] as Timer)) below++;
      const other = timers[below];
      if (other === undefined || isBefore(last, other)) break;
      timers[hole] = other;
      hole = below;
    }
    timers[hole] = last;
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

const immediately = setImmediate;

/** Resolves when all promises that can settle by now have done so. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    immediately(resolve);
  });
}
