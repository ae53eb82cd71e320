/**
 * What is acknowledged as stored is executed, once (I5) and not before its time, unless it was cancelled for certain: then never.
 *
 * What changes nothing leaves no commit. Where nobody heard of it, the rules must refuse the command at some state that its
 * entity has had since.
 */
import type { Heard } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { firstIndex, nameOf, type Command } from '../records.ts';
import { isRefusedAt } from '../ruling.ts';
import { isSignal } from './events-of-commits.ts';

/** By how much a command may come before its time: clocks are read in milliseconds, on a machine that is busy. */
const EARLY_MS = 50;

export const durableCommands: Invariant = {
  name: 'durable-commands',
  create: ({ breach, ledger, step }) => {
    const signals = new Map<string, Heard>();

    const isExecuted = ({ messages, sent, told }: Command): boolean =>
      messages.length > 0 || told.some(({ answer }) => answer !== undefined) || signals.has(sent.commandId);

    /** Looks at each state that the entity may have had when it was executed. */
    const mayBeRefused = (command: Command): boolean => {
      const { entity, landmark } = command;
      const from = landmark?.version ?? 0;
      if (from === 0 && isRefusedAt(command, undefined)) return true;
      const first = firstIndex(entity.messages, (message) => message.version >= from);
      return entity.messages.slice(first).some((message) => {
        step();
        return isRefusedAt(command, message);
      });
    };

    return {
      onHeard(heard) {
        if (isSignal(heard)) signals.set(heard.commandId, heard);
      },

      onPaired({ entity, entry, timeMs }, { sent }) {
        const dueMs = sent.durable?.dueMs ?? 0;
        if (timeMs >= dueMs - EARLY_MS) return;
        const due = new Date(dueMs).toISOString();
        const what = `${sent.commandId} is version ${entry.version} of ${nameOf(entity)} at ${entry.time}, before ${due}`;
        breach(`${what}, for which it was sent`, [sent, entry]);
      },

      finish() {
        for (const command of ledger.commands) {
          const { entity, messages, queued, sent } = command;
          if (queued.length === 0) continue;
          step();
          const what = `${sent.commandId} for ${nameOf(entity)}`;
          const cancelled = queued.find((each) => each.as === 'cancelled');
          const [message] = messages;
          if (cancelled !== undefined) {
            if (message === undefined) continue;
            breach(`${what} was cancelled for certain, but is version ${message.entry.version}`, [
              sent,
              cancelled,
              message.entry,
            ]);
            continue;
          }
          const stored = queued.find((each) => each.as === 'stored');
          if (stored === undefined || queued.some((each) => each.as === 'unsure')) continue;
          if (isExecuted(command) || mayBeRefused(command)) continue;
          const kept = queued.find((each) => each.as === 'kept');
          const says = kept === undefined ? 'stored' : 'stored, and too late to be cancelled';
          breach(`${what} was ${says}, but is not in the log, and nothing refuses it`, [sent, stored, kept]);
        }
      },
    };
  },
};
