/**
 * I7: at most one grant of a lock is unexpired in the log: before the next one it is released, or ended by the server, or by an
 * agent in its place, and never early.
 */
import type { LockState } from '@meshforge/protocol';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

interface Lease {
  lock: LockState;
  message: Message;
}

export const oneHolder: Invariant = {
  name: 'I7',
  create: ({ breach }) => {
    const leases = new Map<Entity, Lease>();

    const onExpired = ({ entity, entry, isVoid, timeMs }: Message, lock: LockState): void => {
      if (timeMs < Date.parse(lock.expires_at)) {
        const what = `the lease of ${nameOf(entity)} until ${lock.expires_at} was ended at ${entry.time}, too early`;
        breach(what, [leases.get(entity)?.message.entry, entry]);
      }
      if (!isVoid) leases.delete(entity);
    };

    const onLease = (message: Message, lock: LockState): void => {
      const { entity, entry } = message;
      const { lock: standing, message: earlier } = leases.get(entity) ?? {};
      leases.set(entity, { lock, message });
      if (standing === undefined || earlier === undefined) return;
      const { owner_id: owner, fencing_token: token, expires_at: until } = standing;
      if (lock.fencing_token === token && lock.owner_id === owner) return;
      const says = `${nameOf(entity)}, version ${entry.version}, is of ${lock.owner_id} with token ${lock.fencing_token}`;
      breach(`${says}, while ${owner} holds it with token ${token} until ${until}`, [earlier.entry, entry]);
    };

    return {
      onLogged(message) {
        const { ended, entity, entry, missing } = message;
        const lock = lockOf(entry.agent, entry.state);
        if (lock === undefined) return;
        if (entry.kind === 'expiry') onExpired(message, lock);
        else if (entry.kind !== 'commit') {
          // Of a lease commit that the log has lost, it is the first to tell.
          if (missing > 0 && lock.owner_id !== null && ended < entry.version) leases.set(entity, { lock, message });
        } else if (entity.agent.leaseEvents.has(entry.event)) onLease(message, lock);
        else leases.delete(entity);
      },
    };
  },
};
