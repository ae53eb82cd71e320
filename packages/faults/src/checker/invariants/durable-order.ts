/**
 * Durable commands on one entity that were stored one after the other, the later one sent after the acknowledgement of the
 * earlier, commit in that order, whoever sent them. Those for later are left out.
 */
import type { Invariant } from '../invariant.ts';
import { nameOf, type Command, type Entity } from '../records.ts';

export const durableOrder: Invariant = {
  name: 'durable-order',
  create: ({ breach, ledger, step }) => ({
    finish() {
      const entities = new Set<Entity>();
      for (const { entity, queued } of ledger.commands) if (queued.length > 0) entities.add(entity);
      for (const entity of entities) {
        /** Of those that have committed so far, the one that was sent last. */
        let last: { command: Command; version: number } | undefined;
        for (const { command, entry } of entity.messages) {
          step();
          if (command?.sent.durable === undefined || command.sent.durable.dueMs !== undefined) continue;
          const { queued, sent } = command;
          const stored = queued.find(({ as }) => as === 'stored');
          if (last !== undefined && stored !== undefined && stored.atMs < last.command.sent.atMs) {
            const later = last.command;
            const what = `${sent.commandId} was stored before ${later.sent.commandId} was sent to ${nameOf(entity)}`;
            breach(`${what}, but is version ${entry.version}, above ${last.version}`, [
              stored,
              later.sent,
              later.messages[0]?.entry,
              entry,
            ]);
          }
          if (sent.atMs > (last?.command.sent.atMs ?? -1)) last = { command, version: entry.version };
        }
      }
    },
  }),
};
