import { entitySubject, ID_HEADERS, TRACE_HEADERS } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { LEASE_LOST_MS, type Entity, type StandingLease } from '../core/entity.ts';
import { publishCommit } from '../nats/commit-publisher.ts';
import { digestOf } from '../nats/digest.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { RequestPort } from '../nats/requester.ts';
import { logMessage } from '../nats/stored-message.ts';

/** Whether the server ought to have ended a lease by now, and did not: most likely its schedule is lost. */
export function isLost({ endsAt }: StandingLease, serverNow: number): boolean {
  return endsAt + LEASE_LOST_MS < serverNow;
}

/**
 * Commits the expiry of a lease that the server did not end. It is what the server would have written, so events and
 * reactions see one expiry, also where the server's own comes late: that one is void.
 *
 * @returns why it could not be tried; undefined: the next look at the entity tells what came of it
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
  { sequence: expectedSequence, lease }: Entity & { lease: StandingLease },
): Promise<string | undefined> {
  const { agent, reader, requester, serverNow, measureServerTime } = options;
  if (agent.lease === undefined) return 'the agent defines no lease';
  try {
    // A clock that is wrong here must not end a lease that stands.
    await measureServerTime();
  } catch {
    return 'the server does not tell its time';
  }
  if (!isLost(lease, serverNow())) return undefined;
  const read = await reader.lastOn(entitySubject(agent.name, entityId, lease.version, lease.event), true);
  if (read.kind === 'unavailable') return read.why;
  // The server has ended it meanwhile.
  if (read.value === undefined) return undefined;
  const { data: body, headers } = read.value;
  await publishCommit(requester, agent, {
    entityId,
    entry: { ...logMessage(agent, read.value).entry, kind: 'expiry', lease: undefined },
    body,
    expectedSequence,
    messageId: `expiry.${digestOf(entityId)}.${lease.version}`,
    headers: [...ID_HEADERS, ...TRACE_HEADERS].flatMap((name) =>
      headers.has(name) ? [[name, headers.get(name)] as const] : [],
    ),
    standing: lease,
  });
  return undefined;
}
