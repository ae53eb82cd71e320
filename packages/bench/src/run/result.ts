import type { Durability } from '../contender.ts';

/** All that a run has measured; written as JSON. */
export interface RunResult {
  readonly startedAt: string;
  readonly command: string;
  readonly machine: Machine;
  readonly settings: Settings;
  readonly loads: readonly LoadResult[];
  readonly goals: readonly GoalResult[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly meshforge: string;
  /** Of one `fdatasync` of 4 KiB appended to a file, in milliseconds: what durability costs here. */
  readonly fsyncMs: number;
}

export interface Settings {
  readonly sliceMs: number;
  readonly rounds: number;
}

export interface LoadResult {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly participants: readonly ParticipantResult[];
}

export interface ParticipantResult {
  readonly id: string;
  readonly name: string;
  readonly about: string;
  readonly durability: Durability;
  readonly versions: Readonly<Record<string, string>>;
  readonly measurements: readonly Measurement[];
  /** Of servers and services, resident, at the end. */
  readonly memoryMiB?: number;
  /** What else it tells: what, with its unit, and how much. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Why it took no part. */
  readonly missing?: string;
  /** What was found wrong with its work at the end. */
  readonly wrong?: string;
}

/** One contender with so many operations under way at once. */
export interface Measurement {
  readonly concurrency: number;
  readonly operations: number;
  readonly perSecond: number;
  /** Of each round, in order: shows how noisy the machine was. */
  readonly perSecondByRound: readonly number[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of client, services and servers together; only where the system tells. */
  readonly cpuUs?: number;
  /** Of a contended load: operations of another worker than the one before. */
  readonly handoversPerSecond?: number;
  /** Of a contended load: operations of the busiest worker, divided by those of the average one; 1 = all had equally many. */
  readonly mostPerMean?: number;
  /** Taken in or sent out by the server, for each operation. */
  readonly messages?: number;
  /** Of a load that only stores work: how much of it was executed meanwhile. */
  readonly executedPerSecond?: number;
  readonly failures: number;
  readonly failure?: string;
}

export interface GoalResult {
  readonly text: string;
  readonly atLeast: number;
  /** Missing when one of the two took no part. */
  readonly ratio?: number;
}
