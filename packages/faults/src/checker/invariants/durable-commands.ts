/**
 * What is acknowledged as stored is decided, once (I5) and not before its time, unless it was cancelled for certain: then never.
 * The log has what was decided: a commit, or the record of a refusal.
 */
import type { Invariant } from '../invariant.ts';
import { nameOf } from '../records.ts';

/** By how much a command may come before its time: clocks are read in milliseconds, on a machine that is busy. */
const EARLY_MS = 50;

export const durableCommands: Invariant = {
  name: 'durable-commands',
  create: ({ breach, ledger, step }) => ({
    onPaired({ entity, entry, timeMs }, { sent }) {
      const dueMs = sent.durable?.dueMs ?? 0;
      if (timeMs >= dueMs - EARLY_MS) return;
      const due = new Date(dueMs).toISOString();
      const what = `${sent.commandId} was ${entry.event} on ${nameOf(entity)} at ${entry.time}, before ${due}`;
      breach(`${what}, for which it was sent`, [sent, entry]);
    },

    finish() {
      for (const { entity, isLost, messages, queued, sent } of ledger.commands) {
        if (queued.length === 0) continue;
        step();
        const what = `${sent.commandId} for ${nameOf(entity)}`;
        const cancelled = queued.find(({ as }) => as === 'cancelled');
        const [message] = messages;
        if (message !== undefined) {
          if (cancelled === undefined) continue;
          const entries = [sent, cancelled, message.entry];
          breach(
            `${what} was cancelled for certain, but is ${message.entry.event} at version ${message.version}`,
            entries,
          );
          continue;
        }
        const stored = queued.find(({ as }) => as === 'stored');
        const isExcused = isLost || cancelled !== undefined || queued.some(({ as }) => as === 'unsure');
        if (stored === undefined || isExcused) continue;
        const kept = queued.find(({ as }) => as === 'kept');
        const says = kept === undefined ? 'stored' : 'stored, and too late to be cancelled';
        breach(`${what} was ${says}, but the log has neither its commit nor its refusal`, [sent, stored, kept]);
      }
    },
  }),
};
