/**
 * I1: an entity's versions are 1, 2, 3, … in log order; all but commits repeat the version that stands. An expiry with another
 * one is void.
 *
 * Lease commits do not last: the next one on the entity, or whatever ends the lease, takes the message out. A witness that
 * comes late finds versions missing, but only directly before such a message, for everything else stays.
 */
import type { Invariant } from '../invariant.ts';
import { messageAbove, nameOf } from '../records.ts';

export const gaplessVersions: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => ({
    onLogged({ before, entity, entry, isVoid, missing }) {
      const { event, kind, version } = entry;
      const highest = before?.version ?? 0;
      if (missing > 0 && entity.agent.leaseEvents.size === 0) {
        breach(`${nameOf(entity)} has version ${version} directly after version ${highest}`, [before?.entry, entry]);
      } else if (kind === 'expiry') {
        if (isVoid || before?.ended === version) limit('the expiry of a lease that was over already');
      } else if (version < highest || (version === highest && kind === 'commit')) {
        const twin = messageAbove(entity, version);
        const what = `${nameOf(entity)} has ${event} of version ${version} after version ${highest}`;
        breach(what, twin === before ? [before?.entry, entry] : [twin?.entry, before?.entry, entry]);
      }
    },
  }),
};
