/**
 * A free lock goes to whoever waits first, by the queue that the log shows, and to nobody else. A place that has ended by the
 * time of the grant, as the grant itself tells it, holds up nobody; one whose end was never seen counts no longer either.
 */
import { lockOf } from '../agents.ts';
import { isGrant } from '../grants.ts';
import type { Invariant } from '../invariant.ts';
import { keyOfOwner, placesIn } from '../queue.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

export const firstComeFirstServed: Invariant = {
  name: 'first-come-first-served',
  create: ({ breach }) => {
    /** The last place that each owner was given, by entity and by the owner's digest. */
    const queued = new Map<Entity, Map<string, Message>>();
    return {
      onLogged(message) {
        const { before, entity, entry, missing } = message;
        const lock = lockOf(entry.agent, entry.state);
        if (lock === undefined) return;
        if (entry.event === 'queued') {
          const own = queued.get(entity) ?? new Map<string, Message>();
          queued.set(entity, own.set(keyOfOwner(String(entry.data?.['owner_id'])), message));
          return;
        }
        const { acquired_at: at, owner_id: owner } = lock;
        // What the log has lost may have changed the queue.
        if (!isGrant(message) || owner === null || missing > 0) return;
        const first = placesIn(before?.notes ?? '').find(({ until }) => until > Date.parse(at));
        if (first === undefined || first.key === keyOfOwner(owner)) return;
        const place = queued.get(entity)?.get(first.key)?.entry;
        const what = `${nameOf(entity)} was granted to ${owner} at ${at}, while ${String(place?.data?.['owner_id'])} waited first`;
        breach(what, [place, entry]);
      },
    };
  },
};
