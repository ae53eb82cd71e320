import type { SimulatedConnection, SimulatedNats, SimulatedProcess } from '@meshforge/simulated-nats';
import { Disturbances } from './disturbances.ts';

/** What runs in a process, once it has started. */
export interface Program {
  /** Ends in good order. */
  stop(): Promise<void>;
  /** Whether it says that it can serve. */
  isReady(): boolean;
}

export interface Place {
  readonly process: SimulatedProcess;
  /** @throws Error when no server is up */
  connect(inboxPrefix?: string): Promise<SimulatedConnection>;
}

/** Between two tries to start, in milliseconds. */
const AGAIN_MS = 300;

/** A machine on which a program runs, is killed, and runs again. */
export class Host {
  readonly name: string;
  readonly disturbances = new Disturbances();
  readonly #nats: SimulatedNats;
  readonly #begin: (place: Place) => Promise<Program>;
  #process: SimulatedProcess;
  #program: Program | undefined;
  #connections: SimulatedConnection[] = [];
  #lives = 0;
  #extraMs = 0;
  /** Why it did not start, the last time. */
  whyNot = '';

  constructor(nats: SimulatedNats, name: string, begin: (place: Place) => Promise<Program>) {
    this.#nats = nats;
    this.name = name;
    this.#begin = begin;
    this.#process = this.#live();
  }

  get process(): SimulatedProcess {
    return this.#process;
  }

  get isRunning(): boolean {
    return !this.#process.isDead && this.#program !== undefined;
  }

  get isReady(): boolean {
    return this.isRunning && this.#program?.isReady() === true;
  }

  kill(downMs: number, unnoticedMs: number): void {
    if (this.#process.isDead) return;
    this.#process.kill(unnoticedMs);
    this.#nats.time.after(downMs, () => {
      this.#process = this.#live();
    });
  }

  /** Another one starts, and this one stops in good order. */
  restart(): void {
    const program = this.#program;
    if (program === undefined || this.#process.isDead) return;
    const old = this.#process;
    this.#process = this.#live();
    old.enter(() => {
      void program.stop().then(() => old.kill());
    });
  }

  freeze(ms: number): void {
    const frozen = this.#process;
    frozen.freeze();
    this.#nats.time.after(ms, () => frozen.thaw());
  }

  slow(ms: number, extraMs: number): void {
    this.#slow(extraMs);
    this.#nats.time.after(ms, () => this.#slow(0));
  }

  disconnect(loses: boolean, unnoticedMs: number): void {
    for (const connection of this.#connections) connection.link?.break({ loses, unnoticedMs });
  }

  jump(ms: number): void {
    this.#process.jumpWall(ms);
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.#process.thaw();
    this.disturbances.clear();
    this.#slow(0);
  }

  #slow(extraMs: number): void {
    this.#extraMs = extraMs;
    for (const connection of this.#connections) connection.link?.slow(extraMs);
  }

  #live(): SimulatedProcess {
    const process = this.#nats.process(`${this.name}.${++this.#lives}`);
    this.#program = undefined;
    this.#connections = [];
    process.enter(() => {
      void this.#start(process);
    });
    return process;
  }

  async #start(process: SimulatedProcess): Promise<void> {
    const place: Place = { process, connect: (inboxPrefix) => this.#connect(process, inboxPrefix) };
    for (;;) {
      try {
        const program = await this.#begin(place);
        if (this.#process === process) this.#program = program;
        return;
      } catch (error) {
        this.whyNot = String(error);
        await process.clock.sleep(AGAIN_MS);
      }
    }
  }

  async #connect(process: SimulatedProcess, inboxPrefix = '_INBOX'): Promise<SimulatedConnection> {
    const connection = await this.#nats.connect(process, { inboxPrefix, name: process.name });
    connection.disturb(this.disturbances.disturb, this.disturbances.overhear);
    connection.link?.slow(this.#extraMs);
    if (this.#process === process) this.#connections.push(connection);
    return connection;
  }
}
