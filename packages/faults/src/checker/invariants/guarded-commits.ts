/** I3: a command that expects a version commits on that version and no other, so at most one of those that expect it. */
import type { Invariant } from '../invariant.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

export const guardedCommits: Invariant = {
  name: 'I3',
  create: ({ breach }) => {
    /** By entity and expected version. */
    const winners = new Map<Entity, Map<number, Message>>();
    return {
      onPaired(message, { sent }) {
        const { before, entity, entry, missing } = message;
        const { expectedVersion: expected, commandId } = sent;
        // What changes nothing but the notes commits on the version that it expects, beside others.
        const isBeside = entry.kind === 'unchanged' && entry.version === expected;
        if (expected === undefined || entry.kind === 'record' || isBeside) return;
        const was = `${commandId} expected version ${expected} of ${nameOf(entity)}`;
        if (expected === 0) {
          if (missing === 0 && before !== undefined && before.state !== null) {
            breach(`${was}, which lived at version ${before.version}, and committed`, [before.entry, sent, entry]);
          }
          return;
        }
        const own = winners.get(entity) ?? new Map<number, Message>();
        winners.set(entity, own);
        const first = own.get(expected);
        if (first !== undefined && first.command !== message.command) {
          const what = `${was} and committed, as ${first.entry.commandId} had done`;
          breach(what, [first.command?.sent, first.entry, sent, entry]);
        } else if (entry.version !== expected + 1) {
          breach(`${was}, but is version ${entry.version}`, [sent, before?.entry, entry]);
        } else if (missing === 0 && before !== undefined && before.state === null) {
          breach(`${was}, which did not live, and committed`, [before.entry, sent, entry]);
        }
        own.set(expected, message);
      },
    };
  },
};
