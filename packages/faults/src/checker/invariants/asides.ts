/**
 * I1, I7: what changes nothing but the notes repeats version and state of its entity, and the lease that stands goes on: it
 * names the very lease, so that whoever reads it later knows of it.
 */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { repeatsEnded } from '../ledger.ts';
import { nameOf } from '../records.ts';
import { sameJson } from '../same-json.ts';

export const asides: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => ({
    onLogged({ before, entity, entry, missing }) {
      if (entry.aside === undefined) return;
      if (before !== undefined && repeatsEnded(entry, before.entry)) {
        limit('a lease ended while a change of its queue was on its way');
        return;
      }
      const { agent, event, keeps, state, version } = entry;
      const isSame = sameJson(before?.state ?? null, state);
      const says = `${nameOf(entity)} was ${event} at version ${version}`;
      if (missing > 0 && isSame) {
        breach(`${says}, which changes nothing, after version ${before?.version ?? 0}`, [before?.entry, entry]);
      }
      if (missing === 0 && !isSame) {
        breach(`${says}, which changes nothing, and has another state than before`, [before?.entry, entry]);
      }
      const lock = lockOf(agent, state);
      const isHeld = lock !== undefined && lock.owner_id !== null;
      const stands = isHeld ? `acquired ${version} ${Date.parse(lock.expires_at)}` : undefined;
      if (keeps !== stands) {
        const what = `${says} and leaves the lease "${keeps ?? 'none'}" standing, expected "${stands ?? 'none'}"`;
        breach(what, [before?.entry, entry]);
      }
    },
  }),
};
