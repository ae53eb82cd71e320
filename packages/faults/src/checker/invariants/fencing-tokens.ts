/** I7: a fencing token of a resource only grows, and is the version at which its holder was granted the lock. */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { gapAt, nameOf, type Entity, type Message } from '../records.ts';

export const fencingTokens: Invariant = {
  name: 'I7',
  create: ({ breach, ledger, step }) => {
    /** The message that granted the highest token so far, or the first that told of it. */
    const newest = new Map<Entity, { token: number; message: Message }>();
    return {
      onLogged(message) {
        const { before, entity, entry, missing } = message;
        const token = lockOf(entry.agent, entry.state)?.fencing_token;
        const isStray = entry.byServer && entry.version < message.version;
        if (token === undefined || isStray) return;
        const highest = newest.get(entity);
        if (token === highest?.token) return;
        if (highest !== undefined && token < highest.token) {
          const what = `${nameOf(entity)} has token ${token} at version ${entry.version}, below ${highest.token}`;
          breach(what, [highest.message.entry, entry]);
          return;
        }
        newest.set(entity, { token, message });
        // The grant itself may be one that the log no longer has: then it is the first of the missing ones.
        const granted = missing > 0 ? (before?.version ?? 0) + 1 : entry.version;
        if (token !== granted) {
          const what = `${nameOf(entity)} has the new token ${token}, expected that of its grant, ${granted}`;
          breach(what, [before?.entry, entry]);
        }
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
