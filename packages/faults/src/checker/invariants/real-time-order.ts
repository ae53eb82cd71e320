import type { Invariant } from '../invariant.ts';
import { nameOf } from '../records.ts';

/**
 * Linearizability, for each entity: a command that was sent after somebody had been told of a version commits above that
 * version.
 */
export const realTimeOrder: Invariant = {
  name: 'real-time-order',
  create: ({ breach }) => ({
    onPaired({ entity, entry }, { landmark, sent }) {
      if (landmark === undefined || entry.version > landmark.version) return;
      if (entry.kind !== 'commit' && entry.version === landmark.version) return;
      const what = `${sent.commandId} was sent after ${landmark.told.commandId} had been told of version ${landmark.version}`;
      breach(`${what} of ${nameOf(entity)}, yet is version ${entry.version}`, [landmark.told, sent, entry]);
    },
  }),
};
