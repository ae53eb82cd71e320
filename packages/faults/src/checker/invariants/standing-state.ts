/**
 * I1, I7: what is no new version repeats version and state of its entity, and the lease that stands goes on: it names the very
 * lease, so that whoever reads it later knows of it.
 */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { keepsWhatEnded, nameOf } from '../records.ts';
import { sameJson } from '../same-json.ts';

export const standingState: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => ({
    onLogged({ before, ended, entity, entry, missing, state: after }) {
      const { agent, event, keeps, kind, state, version } = entry;
      if (kind !== 'unchanged' && kind !== 'record') return;
      if (keepsWhatEnded(entry, ended)) limit('a lease ended while a change of its queue was on its way');
      const isSame = sameJson(before?.state ?? null, after);
      const says = `${nameOf(entity)} was ${event} at version ${version}`;
      if (missing > 0 && isSame) {
        breach(`${says}, which changes nothing, after version ${before?.version ?? 0}`, [before?.entry, entry]);
      }
      if (missing === 0 && !isSame) {
        breach(`${says}, which changes nothing, and has another state than before`, [before?.entry, entry]);
      }
      if (kind === 'record' && missing === 0 && (entry.notes ?? '') !== (before?.notes ?? '')) {
        breach(`${says}, which changes nothing, and has other notes than before`, [before?.entry, entry]);
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
