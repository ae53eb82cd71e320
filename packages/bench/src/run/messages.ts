/** What the conducting process and a client process say to each other. */
import type { Address } from '../contender.ts';

export type ToClient =
  | { readonly type: 'prepare'; readonly load: string; readonly contender: string; readonly address: Address }
  | { readonly type: 'run'; readonly concurrency: number; readonly durationMs: number }
  | { readonly type: 'finish' };

export type FromClient =
  | { readonly type: 'prepared' }
  | { readonly type: 'ran'; readonly slice: Slice }
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly why: string };

/** What came of one stretch of work. */
export interface Slice {
  readonly elapsedMs: number;
  /** Of each operation that went through, in microseconds. */
  readonly latenciesUs: readonly number[];
  /** Of a contended load; otherwise all that was done counts. */
  readonly turns?: Turns;
  /** That the server has taken in or sent out meanwhile. */
  readonly messages?: number;
  /** Of what was stored meanwhile, that was executed as well within so much time. */
  readonly executed?: { readonly jobs: number; readonly elapsedMs: number };
  readonly failures: number;
  /** Why the first of them failed. */
  readonly failure?: string;
}

/** How workers that wait for each other had their turns, before the time was over. */
export interface Turns {
  readonly operations: number;
  /** Operations of another worker than the one before. */
  readonly handovers: number;
  /** Operations of the busiest worker, divided by those of the average one. */
  readonly mostPerMean: number;
}
