import { setMaxListeners } from 'node:events';

interface Timer {
  at: number;
  order: number;
  run: () => void;
  isCancelled: boolean;
}

/** Time that passes only when nobody has anything left to do. */
export class SimulatedTime {
  now: number;
  /** A binary heap: those that are due first stand first. */
  readonly #timers: Timer[] = [];
  #order = 0;
  #seed: number;

  constructor(now: number, seed: number) {
    this.now = now;
    this.#seed = seed;
  }

  /** 0 ≤ x < below */
  draw(below: number): number {
    this.#seed = (Math.imul(this.#seed ^ (this.#seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(this.#seed ^ (this.#seed >>> 12), 0x297a2d39);
    return (((mixed ^ (mixed >>> 15)) >>> 0) / 4_294_967_296) * below;
  }

  /** Does something then. @returns what takes it back */
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.now + Math.max(0, ms), order: this.#order++, run, isCancelled: false };
    this.#push(timer);
    return () => {
      timer.isCancelled = true;
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepUntil((wake) => this.after(ms, wake), signal);
  }

  /** Does something after a while, of at most so many milliseconds. */
  async later(mostMs: number, run: () => void): Promise<void> {
    await this.sleep(this.draw(mostMs));
    run();
  }

  /** There, and back: what is done there is done at one moment. */
  async trip<T>(there: () => T): Promise<T> {
    await this.sleep(this.draw(2));
    const result = there();
    await this.sleep(this.draw(2));
    return result;
  }

  /** Lets time pass until the moment, or until the condition holds. */
  async pass(moment: number, isOver = (): boolean => false): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isOver()) return;
      const due = this.#next(moment);
      if (due === undefined) break;
      this.now = Math.max(this.now, due.at);
      due.run();
    }
    this.now = Math.max(this.now, moment);
  }

  #next(moment: number): Timer | undefined {
    for (;;) {
      const first = this.#timers[0];
      if (first === undefined || first.at > moment) return undefined;
      this.#pop();
      if (!first.isCancelled) return first;
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

/** Sleeps until it is woken, or the signal aborts. @param wakeLater what wakes it; returns what takes that back */
function sleepUntil(wakeLater: (wake: () => void) => () => void, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      cancel();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = wakeLater(wake);
    // As many as wait may sleep until it.
    if (signal !== undefined) setMaxListeners(0, signal);
    signal?.addEventListener('abort', wake);
  });
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
