import { lockOf } from './agents.ts';
import type { Message } from './records.ts';

/** Whether a commit grants a lock; the refresh of a lease keeps its token. False for other agents. */
export function isGrant({ before, entity, entry }: Message): boolean {
  if (entry.kind !== 'commit' || !entity.agent.leaseEvents.has(entry.event)) return false;
  return lockOf(entry.agent, entry.state)?.fencing_token !== lockOf(entry.agent, before?.state)?.fencing_token;
}
