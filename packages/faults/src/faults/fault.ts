import type { Taken } from '../history.ts';
import type { MeshShape, TestedMesh } from '../mesh/tested-mesh.ts';
import type { Random } from '../random.ts';

/**
 * Faults of one lane never overlap, those of different lanes do. All that takes a server away is in one lane, so a cluster
 * of three always has a majority to go on with, or will have it again.
 */
export const LANES = ['servers', 'agents', 'links', 'streams'] as const;
export type Lane = (typeof LANES)[number];

/** One way to disturb a mesh. */
export interface Fault {
  /** Kebab-case: what it does. */
  readonly name: string;
  readonly lane: Lane;
  /** Default: for every mesh. */
  readonly isFor?: (shape: MeshShape) => boolean;
  /** Comes once in a run. */
  readonly isOnce?: true;
  /** From the injection to the heal, in milliseconds. Drawn before the run, from nothing but the seed. */
  readonly drawDurationMs: (random: Random) => number;
  /** Injects it. What it draws here may depend on the mesh as it is now, such as who leads. */
  readonly apply: (mesh: TestedMesh, random: Random, watch: Watch) => Promise<Injected>;
}

/** Who has to know of a fault that takes data away. */
export interface Watch {
  taken(what: Omit<Taken, 'type'>): void;
  /** The log of an agent is read no more, until what it answers is called with the last sequence that is left. */
  pauseReading(agent: string): Promise<(lastSequence: number) => void>;
}

/** For faults that take nothing away. */
export const NOBODY: Watch = { taken: () => {}, pauseReading: () => Promise.resolve(() => {}) };

/** A fault that is there. */
export interface Injected {
  /** For people: what was hit. */
  readonly target: string;
  /** Clients whose own ways to the servers it is about; numbers from 0. */
  readonly clients?: readonly number[];
  /** Agents of which a replica ends. */
  readonly ended?: readonly string[];
  /** Missing where nothing has to be healed. */
  readonly heal?: () => Promise<void>;
}

/** Mostly short, so that many fit into a run, and now and then long. */
export function shortOrLong(short: readonly [number, number], long: readonly [number, number]) {
  return (random: Random): number => random.int(...(random.chance(0.65) ? short : long));
}
