import type { Client } from '../clients/client.ts';
import type { Desk } from '../clients/desk.ts';
import type { Random } from '../random.ts';

/** A kind of work that clients do. */
export interface Load {
  /** Kebab-case: what it does. */
  readonly name: string;
  /** How many do it side by side. */
  readonly workers: number;
  /** Pause between two turns, in milliseconds. */
  readonly pauseMs: readonly [number, number];
  /** Does it once. Must record every command through the desk. */
  readonly turn: (worker: Worker) => Promise<void>;
}

/** One that works: with a client, chance and names of its own. */
export interface Worker {
  /** `guarded-updates-2` */
  readonly name: string;
  readonly desk: Desk;
  readonly random: Random;
  /** Its own client. */
  readonly client: Client;
  /** Any client but its own. */
  readonly otherClient: () => Client;
  /** A new command id of this worker: the same from run to run of one seed. */
  readonly nextId: () => string;
  /** What it keeps from turn to turn; every worker has its own. */
  readonly memory: Map<string, unknown>;
}
