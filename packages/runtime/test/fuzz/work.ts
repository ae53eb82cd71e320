/** What is said between the program and the thread that fuzzes. */
import type { FuzzResult } from './fuzzer.ts';

export interface Work {
  targets: readonly Share[];
  seed: number;
  /** The length of the input at hand, and the input: for who has to tell what hung. */
  atHand: SharedArrayBuffer;
}

export interface Share {
  target: string;
  inputs: number;
}

export type Word = { kind: 'progress'; target: string; inputs: number } | { kind: 'done'; result: FuzzResult };

/** Of the input's length. */
export const LENGTH_BYTES = 4;
