import { HEADERS } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';

/** The NATS server's time as a client knows it: from the replies of agents. It is behind by the time that a reply takes. */
export class ServerTime {
  readonly #clock: Clock;
  /** Milliseconds from this machine's monotonic clock to the server's. */
  #offset: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  see(reply: Pick<Msg, 'headers'>): void {
    const ms = Date.parse(reply.headers?.get(HEADERS.serverTime) ?? '');
    if (!Number.isNaN(ms)) this.#offset = ms - this.#clock.monotonic();
  }

  /** The header of a command that is not to be decided later than so many milliseconds from now; none while no time is known. */
  deadline(afterMs: number | undefined): [string, string][] {
    if (afterMs === undefined || this.#offset === undefined) return [];
    return [[HEADERS.notAfter, new Date(this.#clock.monotonic() + this.#offset + afterMs).toISOString()]];
  }
}
