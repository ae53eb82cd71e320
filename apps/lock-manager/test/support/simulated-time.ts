import { setMaxListeners } from 'node:events';

/** Time that passes only when nobody has anything left to do. */
export class SimulatedTime {
  now: number;
  #timers: { at: number; order: number; run: () => void }[] = [];
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

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      this.#timers.push({ at: this.now + Math.max(0, ms), order: this.#order++, run: resolve });
      // As many as wait may sleep until it.
      if (signal !== undefined) setMaxListeners(0, signal);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
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
      let next = this.#timers[0];
      for (const timer of this.#timers) {
        if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order))
          next = timer;
      }
      if (next === undefined || next.at > moment) break;
      const due = next;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.now = Math.max(this.now, due.at);
      due.run();
    }
    this.now = Math.max(this.now, moment);
  }
}
