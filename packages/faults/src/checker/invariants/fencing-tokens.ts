/**
 * I7: each grant of a resource has a higher fencing token than any before it, also where an operator took its log away meanwhile;
 * a lease keeps its own.
 */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';

export const fencingTokens: Invariant = {
  name: 'I7',
  create: ({ breach }) => {
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
    };
  },
};
