import { nuid } from '@nats-io/nats-core';
import { currentProcess, type Random, type SimulatedTime } from '@meshforge/simulated-nats';

type Handle = ReturnType<typeof setTimeout>;

/** A timer of the libraries below, in the process whose code set it. */
class Timer {
  cancel: () => void = () => {};

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

/**
 * Runs some work with the time and the chance of a simulation, also in the libraries that ask the machine for them.
 * What else runs in this process meanwhile gets the same, so nothing else should.
 */
export async function withSimulatedGlobals<T>(time: SimulatedTime, random: Random, work: () => Promise<T>): Promise<T> {
  const restore = patch(time, random);
  try {
    return await work();
  } finally {
    restore();
  }
}

function patch(time: SimulatedTime, random: Random): () => void {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    Date: globalThis.Date,
    random: Math.random,
    now: performance.now.bind(performance),
    getRandomValues: crypto.getRandomValues.bind(crypto),
  };
  const after = (ms: number, run: () => void): (() => void) => currentProcess()?.after(ms, run) ?? time.after(ms, run);
  const clear = (timer: unknown): void => {
    if (timer instanceof Timer) timer.cancel();
    else real.clearTimeout(timer as Handle);
  };
  const later = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): Timer => {
    const timer = new Timer();
    timer.cancel = after(ms, () => run(...args));
    return timer;
  };
  const again = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): Timer => {
    const timer = new Timer();
    const next = (): void => {
      timer.cancel = after(Math.max(1, ms), () => {
        next();
        run(...args);
      });
    };
    next();
    return timer;
  };
  class SimulatedDate extends real.Date {
    constructor(...args: unknown[]) {
      if (args.length === 0) super(time.now);
      else super(...(args as [number]));
    }

    static override now(): number {
      return Math.floor(currentProcess()?.clock.wall() ?? time.now);
    }
  }
  Object.assign(globalThis, {
    setTimeout: later,
    clearTimeout: clear,
    setInterval: again,
    clearInterval: clear,
    Date: SimulatedDate,
  });
  Math.random = () => random.next();
  performance.now = () => time.now;
  crypto.getRandomValues = ((array: Uint8Array) => {
    for (let at = 0; at < array.length; at++) array[at] = random.below(256);
    return array;
  }) as typeof crypto.getRandomValues;
  nuid.reset();
  return () => {
    const { setTimeout, clearTimeout, setInterval, clearInterval, Date } = real;
    Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval, Date });
    Math.random = real.random;
    performance.now = real.now;
    crypto.getRandomValues = real.getRandomValues;
    nuid.reset();
  };
}
