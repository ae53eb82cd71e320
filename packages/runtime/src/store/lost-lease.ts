import { entitySubject, ID_HEADERS, TRACE_HEADERS } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { LEASE_LOST_MS, type Entity, type StandingLease } from '../core/entity.ts';
import { publishCommit, type CommitMessage } from '../nats/commit-publisher.ts';
import { digestOf } from '../nats/digest.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { RequestPort } from '../nats/requester.ts';
import { logMessage, type StoredMessage } from '../nats/stored-message.ts';
import { utf8 } from '../nats/utf8.ts';

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
  const read = await reader.lastOn(entitySubject(agent.name, entityId, lease.version, lease.event), true);
  if (read.kind === 'unavailable') return read.why;
  const message = read.value === undefined ? standingIn(entityId, entity) : messageOf(agent, read.value);
  // If the server has ended it meanwhile, this comes too late.
  await publishCommit(requester, agent, {
    ...message,
    entityId,
    entry: { ...message.entry, kind: 'expiry', lease: undefined },
    expectedSequence: entity.sequence,
    messageId: `expiry.${digestOf(entityId)}.${lease.version}`,
    standing: lease,
  });
  return undefined;
}

type LeaseMessage = Pick<CommitMessage, 'entry' | 'body' | 'headers'>;

function messageOf(agent: AnyAgent, stored: StoredMessage): LeaseMessage {
  const { data: body, headers } = stored;
  const ids = [...ID_HEADERS, ...TRACE_HEADERS].filter((name) => headers.has(name));
  return {
    entry: logMessage(agent, stored).entry,
    body,
    headers: ids.map((name) => [name, headers.get(name)] as const),
  };
}

/** The lease as it stands, where its own message is gone: somebody has purged it. */
function standingIn(entityId: string, entity: Entity & { lease: StandingLease }): LeaseMessage {
  const { bytes, fences, lease, mark, notes, recent: earlier, state } = entity;
  const { event, version } = lease;
  const body = utf8(JSON.stringify({ entity_id: entityId, entity_version: version, state }));
  const kind = 'expiry' as const;
  return {
    entry: { kind, event, version, state, earlier, command: undefined, notes, fences, mark, bytes },
    body,
    headers: [],
  };
}
