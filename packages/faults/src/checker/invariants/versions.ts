/**
 * I1: an entity's versions are 1, 2, 3, … in log order. All but commits repeat the version that stands, and its state. An expiry with
 * another version is void.
 *
 * Lease commits do not last: the next one on the entity, or whatever ends the lease, takes the message out. A witness that
 * comes late finds versions missing, but only directly before such a message, for everything else stays.
 */
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { keepsWhatEnded, messageAbove, nameOf, type Message } from '../records.ts';
import { sameJson } from '../same-json.ts';

export const versions: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => ({
    onLogged(message) {
      const { before, ended, entity, entry, isVoid, missing } = message;
      const { event, kind, version } = entry;
      const highest = before?.version ?? 0;
      if (kind === 'unchanged' || kind === 'record') {
        if (keepsWhatEnded(entry, ended)) limit('a lease ended while a change of its queue was on its way');
        for (const wrong of differencesBefore(message)) {
          const what = `${nameOf(entity)} was ${event} at version ${version}, which changes nothing`;
          breach(`${what}, ${wrong}`, [before?.entry, entry]);
        }
      }
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

/** What of a message that changes nothing is not as it was before. A lease goes on: it names the very lease, for whoever reads it. */
function differencesBefore({ before, entry, missing, state: after }: Message): string[] {
  const { agent, keeps, kind, notes = '', state, version } = entry;
  const isSame = sameJson(before?.state ?? null, after);
  const lock = lockOf(agent, state);
  const isHeld = lock !== undefined && lock.owner_id !== null;
  const stands = isHeld ? `acquired ${version} ${Date.parse(lock.expires_at)}` : undefined;
  return [
    ...(missing > 0 && isSame ? [`after version ${before?.version ?? 0}`] : []),
    ...(missing === 0 && !isSame ? ['and has another state than before'] : []),
    ...(missing === 0 && kind === 'record' && notes !== (before?.notes ?? '')
      ? ['and has other notes than before']
      : []),
    ...(keeps === stands ? [] : [`and leaves the lease "${keeps ?? 'none'}" standing, expected "${stands ?? 'none'}"`]),
  ];
}
