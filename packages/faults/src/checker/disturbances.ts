import type { Disturbed } from '../history.ts';
import { Intervals } from './intervals.ts';

/** How long after the heal a server may still have no way to a client: routes and interest come back one by one. */
const SERVERS_RECOVER_MS = 5_000;
const LINKS_RECOVER_MS = 1_000;

/** When something was wrong with the mesh, and for whom. */
export class Disturbances {
  /** Agents, and their ways to the servers. */
  readonly #agents = new Intervals();
  readonly #servers = new Intervals();
  readonly #clients = new Map<string, Intervals>();
  readonly #ended = new Map<string, Intervals>();

  add({ clients, ended, fromMs, lane, untilMs }: Disturbed): void {
    if (lane === 'servers') this.#servers.add(fromMs, untilMs + SERVERS_RECOVER_MS);
    else if (lane !== 'clients') this.#agents.add(fromMs, untilMs);
    const add = (all: Map<string, Intervals>, name: string, recoverMs: number): void => {
      const own = all.get(name) ?? new Intervals();
      all.set(name, own.add(fromMs, untilMs + recoverMs));
    };
    for (const client of clients ?? []) add(this.#clients, client, LINKS_RECOVER_MS);
    for (const agent of ended ?? []) add(this.#ended, agent, 0);
  }

  /** Whether a replica of an agent ended between two moments, with what it had in its memory. */
  mayForget(agent: string, fromMs: number, untilMs: number): boolean {
    return (this.#ended.get(agent)?.covered(fromMs, untilMs) ?? 0) > 0;
  }

  /** Whether a message between the client and whoever serves it may have been lost between two moments. */
  mayLose(client: string, fromMs: number, untilMs: number): boolean {
    const own = this.#clients.get(client)?.covered(fromMs, untilMs) ?? 0;
    return own + this.#servers.covered(fromMs, untilMs) > 0;
  }

  /** For how long no agent was disturbed between two moments. */
  quietMs(fromMs: number, untilMs: number): number {
    return untilMs - fromMs - this.#agents.covered(fromMs, untilMs);
  }
}
