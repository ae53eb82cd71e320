import type { Disturbed } from '../history.ts';

/** How long after the heal a server may still have no way to a client: routes and interest come back one by one. */
const SERVERS_RECOVER_MS = 5_000;
const LINKS_RECOVER_MS = 1_000;

/** When something was wrong with the mesh, and for whom. Add all, then ask. */
export class Disturbances {
  readonly #all: Disturbed[] = [];

  add(disturbed: Disturbed): void {
    this.#all.push(disturbed);
  }

  /** Whether a message between the client and whoever serves it may have been lost between two moments. */
  mayLose(client: string, from: number, until: number): boolean {
    return (
      this.#covered(from, until, SERVERS_RECOVER_MS, ({ lane }) => lane === 'servers') +
        this.#covered(from, until, LINKS_RECOVER_MS, ({ clients }) => clients?.includes(client) === true) >
      0
    );
  }

  /** Whether a replica of an agent ended between two moments, with what it had in its memory. */
  mayForget(agent: string, from: number, until: number): boolean {
    return this.#covered(from, until, 0, ({ ended }) => ended?.includes(agent) === true) > 0;
  }

  /** For how long neither agents nor their ways to the servers were disturbed between two moments. */
  quietMs(from: number, until: number): number {
    return until - from - this.#covered(from, until, 0, ({ lane }) => lane !== 'servers' && lane !== 'clients');
  }

  /** How much of the time between two moments some of them cover. */
  #covered(from: number, until: number, recoverMs: number, isMeant: (disturbed: Disturbed) => boolean): number {
    let covered = 0;
    let at = from;
    for (const { fromMs, untilMs } of this.#all.filter(isMeant).toSorted((one, other) => one.fromMs - other.fromMs)) {
      const end = Math.min(until, untilMs + recoverMs);
      covered += Math.max(0, end - Math.max(at, fromMs));
      at = Math.max(at, end);
    }
    return covered;
  }
}
