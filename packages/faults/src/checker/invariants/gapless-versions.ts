/**
 * I1: an entity's versions are 1, 2, 3, … in log order; all but commits repeat the version that stands. An expiry with another
 * one is void.
 *
 * Lease commits do not last: the next one on the entity, or whatever ends the lease, takes the message out. A witness that
 * comes late finds versions missing, but only directly before such a message, for everything else stays.
 */
import type { Told } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { messageAbove, nameOf } from '../records.ts';

export const gaplessVersions: Invariant = {
  name: 'I1',
  create: ({ breach, ledger, limit, step }) => ({
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

    /** Of the lease commits that the log has lost, each version is one command's all the same. */
    finish() {
      const rolledUp = new Map<string, Told>();
      for (const { told, messages, sent, entity } of ledger.commands) {
        step();
        const [first] = told;
        const { answer } = first ?? {};
        if (first === undefined || answer?.kind !== 'committed' || messages.length > 0) continue;
        const version = answer.payload['entity_version'];
        const key = JSON.stringify([sent.agent, sent.entityId, version]);
        const other = rolledUp.get(key);
        if (other === undefined) rolledUp.set(key, first);
        else breach(`${nameOf(entity)} was told to be at version ${String(version)} by two commands`, [other, first]);
      }
    },
  }),
};
