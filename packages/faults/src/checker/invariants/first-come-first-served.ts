/**
 * A free lock goes to whoever waits first, by the places that the log shows, and to nobody else, unless it has been free for two
 * seconds: then nobody serves that one. A place that is over by the time of the grant, as the grant itself tells it, holds up nobody.
 */
import { LOCK_LIMITS } from '@meshforge/protocol';
import { lockOf } from '../agents.ts';
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
        const former = lockOf(entry.agent, before?.state);
        if (lock === undefined) return;
        if (entry.event === 'queued') {
          const own = queued.get(entity) ?? new Map<string, Message>();
          queued.set(entity, own.set(keyOfOwner(String(entry.data?.['owner_id'])), message));
          return;
        }
        const { acquired_at: at, owner_id: owner } = lock;
        const isGrant = entry.kind === 'commit' && owner !== null && lock.fencing_token !== former?.fencing_token;
        // What the log has lost may have changed the places.
        if (!isGrant || missing > 0) return;
        const grantedAt = Date.parse(at);
        const first = placesIn(before?.notes ?? '').find(({ hasEnded, until }) => !hasEnded && until > grantedAt);
        const freeAt = Date.parse(former?.expires_at ?? at);
        const isLongFree = grantedAt - freeAt >= LOCK_LIMITS.passOverMs;
        if (first === undefined || first.owner === keyOfOwner(owner) || isLongFree) return;
        const place = queued.get(entity)?.get(first.owner)?.entry;
        const what = `${nameOf(entity)} was granted to ${owner} at ${at}, while ${String(place?.data?.['owner_id'])} waited first`;
        breach(what, [place, entry]);
      },
    };
  },
};
