/**
 * I7: at most one grant of a lock is unexpired in the log: before the next one it is released, or the server ends it, and
 * never early. What the server has not ended, an agent may end in its place, ten seconds after its time (decision 11).
 */
import type { LockState } from '@meshforge/protocol';
import type { Sent } from '../../history.ts';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { isOvertaken } from '../overtaken.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

/** Less by what the agent may err about the server's clock. */
const OVERDUE_MS = 10_000 - 2_000;

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
      const { before, entity, entry } = message;
      const lease = leases.get(entity);
      const isStray = entry.version < message.version;
      // The lease was refreshed, and something that stands in the log tells of it: it goes on.
      if (isStray && before?.entry.aside !== undefined && lease?.lock.fencing_token === lock.fencing_token) return;
      if (message.timeMs < Date.parse(lock.expires_at) + (entry.overdue === true ? OVERDUE_MS : 0)) {
        const by = entry.overdue === true ? ', by an agent' : '';
        const what = `the lease of ${nameOf(entity)} until ${lock.expires_at} was ended at ${entry.time}${by}, too early`;
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
      breach(`${says}, while ${owner} holds it with token ${token} until ${until}`, [lease.message.entry, entry]);
    };

    const judgeLate = (message: Message, sent: Sent): void => {
      const what = late.get(message);
      if (what === undefined) return;
      late.delete(message);
      if (!isOvertaken(message, sent)) breach(what, [message.before?.entry, message.entry]);
    };

    return {
      onLogged(message) {
        const { entity, entry, missing } = message;
        const lock = lockOf(entry.agent, entry.state);
        if (lock === undefined) return;
        if (entry.aside !== undefined) {
          // Of a lease commit that the log has lost, it is the first to tell.
          if (missing > 0 && lock.owner_id !== null) leases.set(entity, { lock, message });
          return;
        }
        if (entry.byServer) onExpired(message, lock);
        else if (entity.agent.leaseEvents.has(entry.event)) onLease(message, lock);
        else if (!leases.delete(entity) && missing === 0) {
          late.set(message, `${nameOf(entity)} is ${entry.event} at version ${entry.version}, though nobody holds it`);
          const own = entity.agent.ownCommand(entry, message.before?.notes ?? '');
          if (own !== undefined) judgeLate(message, own);
        }
      },

      onPaired(message, { sent }) {
        judgeLate(message, sent);
      },

      finish() {
        for (const [{ before, entry }, what] of late) breach(what, [before?.entry, entry]);
      },
    };
  },
};
