import type { Clock } from '../clock.ts';

/** How often the offset is measured anew, in milliseconds: clocks drift by some ms in that time. */
const REFRESH_MS = 30_000;
const SAMPLES = 3;
/** Between this machine's clocks, in milliseconds: more than an adjusted clock drifts in 30 s. */
const MAX_JUMP_MS = 250;

/**
 * The NATS server's clock, as well as it can be known from here: leases end by it and nothing else.
 *
 * Kept as an offset to this machine's monotonic clock, so that jumps of the wall clock here change nothing. Of several
 * samples the one with the shortest round trip counts; the error is at most half of it.
 */
export class ServerClock {
  readonly #clock: Clock;
  /** Asks the server for its time, RFC 3339. */
  readonly #ask: () => Promise<string>;
  #offset: number;
  /** Between this machine's two clocks when the offset was measured. */
  #wallAhead: number;
  readonly #stopping = new AbortController();

  constructor(clock: Clock, ask: () => Promise<string>) {
    this.#clock = clock;
    this.#ask = ask;
    this.#offset = clock.wall() - clock.monotonic();
    this.#wallAhead = this.#offset;
  }

  /** Milliseconds since the epoch, an integer. */
  now(): number {
    return Math.floor(this.#clock.monotonic() + this.#offset);
  }

  /**
   * Whether the offset may be wrong. A machine that slept, or whose clock was set, shows it by a jump between its two clocks:
   * the monotonic one may have stood still.
   */
  get isDoubtful(): boolean {
    return Math.abs(this.#clock.wall() - this.#clock.monotonic() - this.#wallAhead) > MAX_JUMP_MS;
  }

  /** Measures now, and again every 30 s. */
  async start(): Promise<void> {
    await this.measure();
    void this.#measureAgain();
  }

  async #measureAgain(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await this.#clock.sleep(REFRESH_MS, signal);
      if (signal.aborted) return;
      // The old offset serves until the server answers again.
      await this.measure().catch(() => {});
    }
  }

  async measure(): Promise<void> {
    let best = Number.POSITIVE_INFINITY;
    let offset = this.#offset;
    const wallAhead = this.#clock.wall() - this.#clock.monotonic();
    for (let i = 0; i < SAMPLES; i++) {
      const sent = this.#clock.monotonic();
      const server = Date.parse(await this.#ask());
      const received = this.#clock.monotonic();
      if (Number.isNaN(server) || received - sent >= best) continue;
      best = received - sent;
      offset = server - (sent + received) / 2;
    }
    this.#offset = offset;
    this.#wallAhead = wallAhead;
  }

  stop(): void {
    this.#stopping.abort();
  }
}
