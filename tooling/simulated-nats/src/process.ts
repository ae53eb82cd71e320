import { setMaxListeners } from 'node:events';
import type { Random } from './random.ts';
import type { Cancel, SimulatedTime } from './time.ts';

/** The clock of a process, as MeshForge's runtime takes it. */
export interface ProcessClock {
  wall(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  random(): number;
}

type State = 'running' | 'frozen' | 'dead';

/** Something that happened to a process while it was frozen. */
interface Waiting {
  isTimer: boolean;
  run: () => void;
}

let current: SimulatedProcess | undefined;

function runIn(process: SimulatedProcess): void {
  current = process;
}

/** The process whose event is under way; undefined in between. */
export function currentProcess(): SimulatedProcess | undefined {
  return current;
}

/**
 * One process on a machine of its own. It can be frozen: its timers stand still and its messages wait, and when it thaws it
 * takes them one after the other. It can be killed: nothing more happens in it. Its wall clock can jump.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly time: SimulatedTime;
  readonly random: Random;
  #state: State = 'running';
  #waiting: Waiting[] = [];
  #wallOffsetMs = 0;
  readonly #onDeath: ((unnoticedMs: number) => void)[] = [];

  constructor(name: string, time: SimulatedTime, random: Random) {
    this.name = name;
    this.time = time;
    this.random = random;
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isFrozen(): boolean {
    return this.#state === 'frozen';
  }

  readonly clock: ProcessClock = {
    wall: () => this.time.now + this.#wallOffsetMs,
    monotonic: () => this.time.now,
    random: () => this.random.next(),
    sleep: (ms, signal) => this.#sleep(ms, signal),
  };

  /** Does something in the process after so many milliseconds. */
  after(ms: number, run: () => void): Cancel {
    let isCancelled = false;
    const cancel = this.time.after(ms, () => {
      this.enter(() => {
        if (!isCancelled) run();
      }, true);
    });
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  /** Does something in the process: now, or once it has thawed; never if it is dead. */
  enter(run: () => void, isTimer = false): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'frozen') {
      this.#waiting.push({ isTimer, run });
      return;
    }
    runIn(this);
    run();
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    // Timers may come before the messages that arrived meanwhile.
    if (this.random.chance(0.5)) this.#waiting.sort((one, other) => Number(other.isTimer) - Number(one.isTimer));
    this.#thawNext();
  }

  /**
   * As `kill -9` does, or the end of its machine.
   * @param unnoticedMs how long servers take its connections for open
   */
  kill(unnoticedMs = 0): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#waiting = [];
    for (const tell of this.#onDeath) tell(unnoticedMs);
  }

  onDeath(tell: (unnoticedMs: number) => void): void {
    this.#onDeath.push(tell);
  }

  /** Sets the wall clock forward or back. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #thawNext(): void {
    if (this.#state !== 'frozen') return;
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#state = 'running';
      return;
    }
    runIn(this);
    next.run();
    this.time.after(0, () => {
      this.#thawNext();
    });
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const cancel = this.after(ms, wake);
      // Any number of sleeps may end with it.
      if (signal !== undefined) setMaxListeners(0, signal);
      signal?.addEventListener('abort', wake);
    });
  }
}
