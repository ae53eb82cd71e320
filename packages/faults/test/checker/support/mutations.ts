import type { Entry } from '../../../src/history.ts';
import { commitMutations } from './mutations-of-commits.ts';
import { durableMutations } from './mutations-of-durable.ts';
import { eventMutations } from './mutations-of-events.ts';
import { leaseMutations } from './mutations-of-leases.ts';
import { orderMutations } from './mutations-of-order.ts';
import { reactionMutations } from './mutations-of-reactions.ts';
import { waitingMutations } from './mutations-of-waiting.ts';
import type { View } from './view.ts';

/** A way to spoil a correct history. */
export interface Mutation {
  name: string;
  /** That has to find it. */
  invariant: string;
  /** A correct history with a place for it; default: one of requests. */
  simulate?: (seed: number, commands: number) => Entry[];
  /** @returns undefined where the history has no place for it */
  spoil: (view: View, pick: <T>(candidates: readonly T[]) => T | undefined) => Spoiled | undefined;
}

export interface Spoiled {
  entries: Entry[];
  /** What a breach has to show. */
  culprits: Entry[];
}

export const MUTATIONS: readonly Mutation[] = [
  ...commitMutations,
  ...durableMutations,
  ...eventMutations,
  ...leaseMutations,
  ...orderMutations,
  ...reactionMutations,
  ...waitingMutations,
];
