/**
 * I7: each grant of a resource has a higher fencing token than any before it, also where an operator took its log away meanwhile;
 * a lease keeps its own.
 */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { gapAt, nameOf, type Message } from '../records.ts';

export const fencingTokens: Invariant = {
  name: 'I7',
  create: ({ breach, ledger, step }) => {
    /** By name: the message that granted the highest token so far, or the first that told of it. */
    const newest = new Map<string, { token: number; message: Message }>();
    return {
      onLogged(message, isAgain) {
        const { before, entity, entry, isVoid } = message;
        const token = lockOf(entry.agent, entry.state)?.fencing_token;
        if (token === undefined || isVoid || isAgain) return;
        if (before !== undefined && token === lockOf(entry.agent, before.state)?.fencing_token) return;
        const highest = newest.get(nameOf(entity));
        if (highest !== undefined && token <= highest.token) {
          const what = `${nameOf(entity)} has the new token ${token} at version ${entry.version}, not above ${highest.token}`;
          breach(what, [highest.message.entry, entry]);
          return;
        }
        newest.set(nameOf(entity), { token, message });
      },

      /** Lease commits that the log no longer has are of the lease that took them out. */
      finish() {
        for (const { entity, messages, sent, told } of ledger.commands) {
          step();
          const answered = told.find(({ answer }) => answer?.kind === 'committed');
          if (answered?.answer === undefined || messages.length > 0) continue;
          const { payload } = answered.answer;
          const token = lockOf(sent.agent, payload['state'])?.fencing_token;
          const next = token === undefined ? undefined : gapAt(entity, Number(payload['entity_version']))?.entry;
          const expected = lockOf(sent.agent, next?.state)?.fencing_token;
          if (next === undefined || token === expected) continue;
          const what = `${sent.commandId} was told token ${token} of ${nameOf(entity)}`;
          breach(`${what}, which the log has with token ${expected}`, [sent, answered, next]);
        }
      },
    };
  },
};
