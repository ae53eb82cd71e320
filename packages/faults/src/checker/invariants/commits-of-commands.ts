import type { Invariant } from '../invariant.ts';
import { nameOf } from '../records.ts';

/** I2: nothing is in a log that nobody sent, or that was sent to another entity. */
export const commitsOfCommands: Invariant = {
  name: 'I2',
  create: ({ breach, ledger }) => ({
    onPaired({ entity, entry }, { entity: meant, sent }) {
      if (entity === meant) return;
      breach(`${sent.commandId} was sent to ${nameOf(meant)}, but committed on ${nameOf(entity)}`, [sent, entry]);
    },

    finish() {
      for (const { entity, entry } of ledger.unclaimed) {
        const what = `${entry.event}, version ${entry.version} of ${nameOf(entity)}`;
        breach(`${what}, is by command ${entry.commandId}, which nobody sent`, [entry]);
      }
    },
  }),
};
