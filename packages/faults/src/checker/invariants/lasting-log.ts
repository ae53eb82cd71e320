import type { Invariant } from '../invariant.ts';

/** What a log has delivered stays what it was, and nothing comes in behind it. */
export const lastingLog: Invariant = {
  name: 'lasting-log',
  create: ({ breach }) => ({
    onRewritten(entry, { entry: earlier }) {
      breach(
        earlier.sequence === entry.sequence
          ? `the log of ${entry.agent} delivered sequence ${entry.sequence} again, with other content`
          : `the log of ${entry.agent} delivered sequence ${entry.sequence} after ${earlier.sequence}, for the first time`,
        [earlier, entry],
      );
    },
  }),
};
