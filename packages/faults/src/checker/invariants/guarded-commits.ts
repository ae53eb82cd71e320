/** I3: a command that expects a version commits on that version and no other, so at most one of those that expect it. */
import type { Invariant } from '../invariant.ts';
import { nameOf } from '../records.ts';

export const guardedCommits: Invariant = {
  name: 'I3',
  create: ({ breach }) => ({
    onPaired({ before, entity, entry, missing }, { sent }) {
      const { commandId, expectedVersion: expected } = sent;
      // What the log has lost may have been the version that it expected.
      if (expected === undefined || entry.kind === 'record' || missing > 0) return;
      const current = before === undefined || before.state === null ? 0 : before.version;
      if (current === expected) return;
      const what = `${commandId} expected version ${expected} of ${nameOf(entity)}, and committed on ${current}`;
      breach(what, [before?.entry, sent, entry]);
    },
  }),
};
