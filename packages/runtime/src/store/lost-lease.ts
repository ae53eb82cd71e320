import { ID_HEADERS, TRACE_HEADERS } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { LEASE_LOST_MS, type Entity, type StandingLease } from '../core/entity.ts';
import { publishCommit, type CommitMessage } from '../nats/commit-publisher.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { RequestPort } from '../nats/requester.ts';
import { logMessage, type StoredMessage } from '../nats/stored-message.ts';
import { prepareExpiry } from './attempt.ts';

/** Whether the server ought to have ended a lease by now, and did not: most likely its schedule is lost. */
export function isLost({ endsAt }: StandingLease, serverNow: number): boolean {
  return endsAt + LEASE_LOST_MS < serverNow;
}

/**
 * Commits the expiry of a lease that the server did not end. It is what the server would have written, so events and
 * reactions see one expiry, also where the server's own comes late: that one is void.
 *
 * @returns why it was not done; undefined: the next look at the entity tells what came of it
 */
export async function endLostLease(
  options: {
    agent: AnyAgent;
    reader: EntityReader;
    requester: RequestPort;
    serverNow: () => number;
    measureServerTime: () => Promise<void>;
  },
  entityId: string,
  entity: Entity & { lease: StandingLease },
): Promise<string | undefined> {
  const { agent, reader, requester, serverNow, measureServerTime } = options;
  const { lease } = entity;
  if (agent.lease === undefined) return 'the agent defines no lease';
  try {
    // A clock that is wrong here must not end a lease that stands.
    await measureServerTime();
  } catch {
    return 'the server does not tell its time';
  }
  if (!isLost(lease, serverNow())) return undefined;
  const read = await reader.leaseCommit(entityId, lease);
  if (read.kind === 'unavailable') return read.why;
  const expiry = prepareExpiry(entityId, entity);
  // Where the commit of the lease is gone, the server has mostly just ended the lease, and is first.
  const message = read.value === undefined ? expiry : likeTheServers(expiry, read.value);
  const result = await publishCommit(requester, agent, message);
  return 'why' in result ? result.why : undefined;
}

/** With the Mesh headers of the commit that set the lease, as the server's: what is derived from the two gets the same ids. */
function likeTheServers(expiry: CommitMessage, stored: StoredMessage): CommitMessage {
  const { data: body, headers } = stored;
  return {
    ...expiry,
    entry: { ...logMessage(stored).entry, kind: 'expiry', lease: undefined },
    body,
    headers: [...ID_HEADERS, ...TRACE_HEADERS].flatMap((name) =>
      headers.has(name) ? [[name, headers.get(name)] as const] : [],
    ),
  };
}
