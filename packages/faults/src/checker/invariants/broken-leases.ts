/** I7: once a lease was broken, or taken back, its token neither refreshes nor releases anything any more. */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, repeatsVersion, type Entity, type Message } from '../records.ts';

export const brokenLeases: Invariant = {
  name: 'I7',
  create: ({ breach }) => {
    const broken = new Map<Entity, { token: number; message: Message }>();
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
        if (entry.event === 'released' && entry.data?.['cause'] !== undefined) broken.set(entity, { token, message });
      },
    };
  },
};
