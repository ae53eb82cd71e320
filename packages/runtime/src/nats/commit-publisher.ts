/**
 * The one place that publishes to `ent.>`. Every write carries the compare-and-set with the byte-identical filter of
 * its entity; without it the server's guard could be bypassed.
 */
import { entityFilter, entitySubject, HEADERS } from '@meshforge/protocol';
import type { StandingLease } from '../core/entity.ts';
import { readPublishAck, type PublishResult } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';

export interface CommitMessage {
  entityId: string;
  event: string;
  /** Sequence of the entity's last message; 0 = it has none. */
  expectedSequence: number;
  body: Uint8Array;
  commandId: string;
  /** Value of `Mesh-Recent`. */
  recent: string;
  /** Mesh and trace headers of the command, checked. */
  headers: readonly (readonly [name: string, value: string])[];
  /** The lease that this commit grants or moves: when the server shall commit the expiry event. */
  lease?: { endsAt: number; expiryEvent: string } | undefined;
  /** The lease that stands now. */
  standing?: StandingLease | undefined;
}

export function publishCommit(requester: RequestPort, agent: string, message: CommitMessage): Promise<PublishResult> {
  const { entityId, event, lease, standing } = message;
  const lines: (readonly [string, string])[] = [
    ['Nats-Expected-Last-Subject-Sequence', String(message.expectedSequence)],
    ['Nats-Expected-Last-Subject-Sequence-Subject', entityFilter(agent, entityId)],
    ['Nats-Msg-Id', message.commandId],
    [HEADERS.recent, message.recent],
    ...message.headers,
  ];
  if (lease !== undefined) {
    // A schedule on the same subject replaces the one that stands.
    lines.push(['Nats-Schedule', `@at ${new Date(lease.endsAt).toISOString()}`]);
    lines.push(['Nats-Schedule-Target', entitySubject(agent, entityId, lease.expiryEvent)]);
  } else if (standing !== undefined) {
    // The commit ends the lease: the same publish takes its schedule out.
    lines.push(['Nats-Schedule-Next', 'purge']);
    lines.push(['Nats-Scheduler', entitySubject(agent, entityId, standing.event)]);
  }
  return requester.request(entitySubject(agent, entityId, event), message.body, rawHeaders(lines)).then(readPublishAck);
}
