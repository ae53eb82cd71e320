import { lockOf } from './agents.ts';
import type { Message } from './records.ts';

/** Whether a commit is known to grant a lock: the refresh of a lease keeps its token. */
export function isGrant({ before, entity, entry, missing }: Message): boolean {
  if (entry.kind !== 'commit' || missing > 0 || !entity.agent.leaseEvents.has(entry.event)) return false;
  return lockOf(entry.agent, entry.state)?.fencing_token !== lockOf(entry.agent, before?.state)?.fencing_token;
}
