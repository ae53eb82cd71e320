import type { AnyAgent, LeaseDefinition } from '../core/agent.ts';
import type { Entity, StandingLease } from '../core/entity.ts';
import { publishCommit, type CommitMessage } from '../nats/commit-publisher.ts';
import { digestOf } from '../nats/digest.ts';
import type { RequestPort } from '../nats/requester.ts';
import { utf8 } from '../nats/utf8.ts';

type Leased = Entity & { lease: StandingLease };

/**
 * Commits the expiry of a lease whose schedule the server must have lost. Whether that worked, the next look at the entity
 * tells.
 *
 * @returns why it could not be tried, if it could not
 */
export async function endLostLease(
  options: {
    agent: AnyAgent;
    requester: RequestPort;
    lostBefore: () => number;
    measureServerTime: () => Promise<void>;
  },
  entityId: string,
  entity: Leased,
): Promise<string | undefined> {
  const { agent, lostBefore, measureServerTime, requester } = options;
  const { lease: definition, name } = agent;
  if (definition === undefined) return 'the agent defines no lease';
  try {
    // A clock that is wrong here must not end a lease that stands.
    await measureServerTime();
  } catch {
    return 'the server does not tell its time';
  }
  if (entity.lease.endsAt < lostBefore()) await publishCommit(requester, name, expiryOf(definition, entityId, entity));
  return undefined;
}

/** What the server ought to have committed: the payload is that of the lease, and its schedule, if it is there, goes with it. */
function expiryOf(
  { expiryEvent }: Pick<LeaseDefinition<never>, 'expiryEvent'>,
  entityId: string,
  entity: Leased,
): CommitMessage {
  const { fences, lease, notes, recent, sequence, state } = entity;
  return {
    entityId,
    event: expiryEvent,
    expectedSequence: sequence,
    body: utf8(JSON.stringify({ entity_id: entityId, entity_version: lease.version, state })),
    commandId: `expiry.${digestOf(entityId)}.${lease.version}`,
    recent: recent.text,
    fences,
    headers: [],
    standing: lease,
    notes,
  };
}
