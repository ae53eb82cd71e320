import type { Clock } from '../../src/clock.ts';

/** Time that moves when a test says so; and an event loop that can stand still meanwhile. */
export class VirtualClock implements Clock {
  now = 0;
  readonly #sleepers = new Set<{ at: number; wake: () => void }>();

  wall(): number {
    return this.now;
  }

  monotonic(): number {
    return this.now;
  }

  random(): number {
    return 0.5;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = {
        at: this.now + ms,
        wake: (): void => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      if (signal?.aborted === true) return resolve();
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  /** Lets time pass; whatever it wakes runs at its own time. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (;;) {
      const next = [...this.#sleepers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.now = Math.max(this.now, next.at);
      next.wake();
      await settled();
    }
    this.now = end;
  }

  /** Lets time pass while nothing of this process runs. */
  block(ms: number): void {
    this.now += ms;
  }
}

/** When all that has to run has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
