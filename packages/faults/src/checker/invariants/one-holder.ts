/**
 * I7: at most one grant of a lock is unexpired in the log: before the next one it is released, or the server ends it,
 * and never early. Only a lease that is overdue by ten minutes may be taken over (decision 11).
 */
import type { LockState } from '@meshforge/protocol';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { isOvertaken } from '../overtaken.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

const LOST_MS = 600_000;

interface Lease {
  lock: LockState;
  message: Message;
}

export const oneHolder: Invariant = {
  name: 'I7',
  create: ({ breach }) => {
    const leases = new Map<Entity, Lease>();
    /** Commits about a lease that was over; they stand if they were decided before its end. */
    const late = new Map<Message, string>();

    const onExpired = (message: Message, lock: LockState): void => {
      const { entity, entry } = message;
      const lease = leases.get(entity);
      const isStray = entry.version < message.version;
      if (message.timeMs < Date.parse(lock.expires_at)) {
        const what = `the lease of ${nameOf(entity)} until ${lock.expires_at} was ended at ${entry.time}, too early`;
        breach(what, [lease?.message.entry, entry]);
      }
      if (isStray && lease !== undefined) {
        const what = `the expiry of version ${entry.version} took the lease of version ${message.version} of ${nameOf(entity)}`;
        breach(what, [lease.message.entry, entry]);
      }
      leases.delete(entity);
    };

    const onLease = (message: Message, lock: LockState): void => {
      const { entity, entry, missing } = message;
      const lease = leases.get(entity);
      leases.set(entity, { lock, message });
      const says = `${nameOf(entity)}, version ${entry.version}, is of ${lock.owner_id} with token ${lock.fencing_token}`;
      if (lease === undefined) {
        if (missing > 0 || lock.fencing_token === entry.version) return;
        late.set(message, `${says}: a refresh of a lease that is over`);
        return;
      }
      const { owner_id: owner, fencing_token: token, expires_at: until } = lease.lock;
      if (lock.fencing_token === token && lock.owner_id === owner) return;
      if (message.timeMs - Date.parse(until) > LOST_MS) return;
      breach(`${says}, while ${owner} holds it with token ${token} until ${until}`, [lease.message.entry, entry]);
    };

    return {
      onLogged(message) {
        const { entity, entry, missing } = message;
        const lock = lockOf(entry.agent, entry.state);
        if (lock === undefined) return;
        if (entry.byServer) onExpired(message, lock);
        else if (entity.agent.leaseEvents.has(entry.event)) onLease(message, lock);
        else if (!leases.delete(entity) && missing === 0) {
          late.set(message, `${nameOf(entity)} is ${entry.event} at version ${entry.version}, though nobody holds it`);
        }
      },

      onPaired(message, { sent }) {
        const what = late.get(message);
        if (what === undefined) return;
        late.delete(message);
        if (!isOvertaken(message, sent)) breach(what, [message.before?.entry, message.entry]);
      },

      finish() {
        for (const [{ before, entry }, what] of late) breach(what, [before?.entry, entry]);
      },
    };
  },
};
