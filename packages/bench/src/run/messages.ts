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
  readonly failures: number;
  /** Why the first of them failed. */
  readonly failure?: string;
}
