/**
 * I7: once a lease was broken, or taken back, its token neither refreshes nor releases anything any more; and nobody is told
 * that a lease was taken that was not.
 */
import type { Heard } from '../../history.ts';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { isNotice } from './events-of-commits.ts';
import { nameOf, repeatsVersion, type Entity, type Message } from '../records.ts';

export const brokenLeases: Invariant = {
  name: 'I7',
  create: ({ breach, step }) => {
    const broken = new Map<Entity, { token: number; message: Message }>();
    /** By entity and token, as they are told of. */
    const taken = new Set<string>();
    const told: Heard[] = [];
    return {
      onLogged(message) {
        const { entity, entry } = message;
        const token = lockOf(entry.agent, entry.state)?.fencing_token;
        if (token === undefined || repeatsVersion(entry)) return;
        const before = broken.get(entity);
        if (before !== undefined && token <= before.token) {
          const cause = String(before.message.entry.data?.['cause']);
          const what = `${nameOf(entity)} was ${entry.event} with token ${token}, whose lease had ended: ${cause}`;
          breach(what, [before.message.entry, entry]);
        }
        if (entry.event === 'released' && entry.data?.['cause'] !== undefined) {
          broken.set(entity, { token, message });
          taken.add(keyOf(entity.id, token, entry.data['cause']));
        }
      },

      onHeard(heard) {
        if (isNotice(heard)) told.push(heard);
      },

      finish() {
        for (const heard of told) {
          step();
          const { cause, entity_id: entityId, fencing_token: token } = heard.payload;
          if (taken.has(keyOf(entityId, token, cause))) continue;
          breach(
            `the lease ${String(token)} of lock ${String(entityId)} was told to be ${String(cause)}, and was not`,
            [heard],
          );
        }
      },
    };
  },
};

function keyOf(...parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}
