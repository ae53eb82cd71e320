/**
 * Of the tokens of a resource under which an entity was written, none is lower than one before it; and only a lower one is
 * refused as stale, once a higher one has committed. What the entity says that it remembers of them is held against the
 * commands themselves.
 */
import { encodeToken } from '@meshforge/protocol';
import type { Told } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { firstIndex, nameOf, type Command, type Entity, type Message } from '../records.ts';

/** The first commits under each higher token, in log order. */
type Highs = { token: number; message: Message }[];

export const guardedWrites: Invariant = {
  name: 'fencing',
  create: ({ breach, step }) => {
    const refusals: { told: Told; command: Command }[] = [];
    const entities = new Set<Entity>();

    const walk = (entity: Entity): Map<string, Highs> => {
      const resources = new Map<string, Highs>();
      for (const message of entity.messages) {
        step();
        const sent = message.entry.kind === 'record' ? undefined : message.command?.sent;
        if (sent?.lease !== undefined) {
          const { fencing_token: token, resource } = sent.lease;
          const highs = resources.get(resource) ?? [];
          resources.set(resource, highs);
          const highest = highs.at(-1);
          if (highest === undefined || token > highest.token) highs.push({ token, message });
          else if (token < highest.token) {
            const what = `${sent.commandId} wrote ${nameOf(entity)} under token ${token} of ${resource}`;
            const entries = [highest.message.command?.sent, highest.message.entry, sent, message.entry];
            breach(`${what}, after ${highest.token}`, entries);
          }
        }
        const remembered = textOf(resources);
        if (remembered === (message.entry.fences ?? '')) continue;
        const what = `${nameOf(entity)} remembers the tokens "${message.entry.fences ?? ''}" at version ${message.version}`;
        breach(`${what}, expected "${remembered}"`, [message.before?.entry, sent, message.entry]);
        break;
      }
      return resources;
    };

    return {
      onPaired({ entity }, { sent }) {
        if (sent.lease !== undefined) entities.add(entity);
      },

      onTold(told, command) {
        if (told.answer?.payload['code'] === 'stale_token') refusals.push({ told, command });
      },

      finish() {
        const seen = new Map([...entities].map((entity) => [entity, walk(entity)]));
        for (const { told, command } of refusals) {
          step();
          const { entity, sent } = command;
          if (entity.isOver) continue;
          const { fencing_token: token = 0, resource = '' } = sent.lease ?? {};
          const highs = seen.get(entity)?.get(resource) ?? [];
          const higher = highs[firstIndex(highs, (high) => high.token > token)]?.message;
          if (higher !== undefined && (higher.command?.sent.atMs ?? 0) < told.atMs) continue;
          const what = `${sent.commandId} was told that token ${token} of ${resource} is stale for ${nameOf(entity)}`;
          breach(`${what}, which no commit under a higher one explains`, [sent, higher?.entry, told]);
        }
      },
    };
  },
};

/** As the header has it: each resource with its highest token, to the base 36. */
function textOf(resources: ReadonlyMap<string, Highs>): string {
  return [...resources]
    .map(([resource, highs]) => `${encodeToken(resource)}.${(highs.at(-1)?.token ?? 0).toString(36)}`)
    .join(' ');
}
