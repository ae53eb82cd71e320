/**
 * The one place that publishes to `ent.>`. Every write carries the compare-and-set with the byte-identical filter of
 * its entity; without it the server's guard could be bypassed.
 */
import { entityFilter, entitySubject, HEADERS, LIMITS } from '@meshforge/protocol';
import type { Aside, StandingLease } from '../core/entity.ts';
import { expecting, NO_SEQUENCE } from './expecting.ts';
import { readMessageIdAck, readPublishAck, type MessageIdResult, type PublishResult } from './jetstream-errors.ts';
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
  /** Value of `Mesh-Fences`. */
  fences: string;
  /** Mesh and trace headers of the command, checked. */
  headers: readonly (readonly [name: string, value: string])[];
  /** The lease that this commit grants or moves: when the server shall commit the expiry event. */
  lease?: { endsAt: number; expiryEvent: string } | undefined;
  /** The lease that stands now. */
  standing?: StandingLease | undefined;
  /** Set where nothing but the notes changes; the standing lease goes on. */
  aside?: Aside | undefined;
  notes: string;
}

export function publishCommit(requester: RequestPort, agent: string, message: CommitMessage): Promise<PublishResult> {
  const { aside, entityId, event, lease, standing, notes } = message;
  const lines: (readonly [string, string])[] = [
    ...expecting(message.expectedSequence, entityFilter(agent, entityId)),
    ['Nats-Msg-Id', message.commandId],
    ...message.headers,
  ];
  if (message.recent !== '') lines.push([HEADERS.recent, message.recent]);
  if (message.fences !== '') lines.push([HEADERS.fences, message.fences]);
  if (notes !== '') lines.push([HEADERS.notes, notes]);
  if (lease !== undefined) {
    // A schedule on the same subject replaces the one that stands.
    lines.push(['Nats-Schedule', `@at ${new Date(lease.endsAt).toISOString()}`]);
    lines.push(['Nats-Schedule-Target', entitySubject(agent, entityId, lease.expiryEvent)]);
  } else if (aside !== undefined) {
    lines.push([HEADERS.aside, aside]);
    if (standing !== undefined) lines.push([HEADERS.lease, leaseText(standing)]);
  } else if (standing !== undefined) {
    // The commit ends the lease: the same publish takes its schedule out.
    lines.push(['Nats-Schedule-Next', 'purge']);
    lines.push(['Nats-Scheduler', entitySubject(agent, entityId, standing.event)]);
  }
  return requester.request(entitySubject(agent, entityId, event), message.body, rawHeaders(lines)).then(readPublishAck);
}

/** Value of `Mesh-Lease`: what {@link readLease} reads. */
function leaseText({ event, version, endsAt }: StandingLease): string {
  return `${event} ${version} ${endsAt}`;
}

const LEASE = /^([a-z][a-z0-9_]*) (\d{1,16}) (\d{1,16})$/;

/** Undefined for a text that is none of {@link leaseText}. */
export function readLease(text: string): StandingLease | undefined {
  const [, event, version, endsAt] = LEASE.exec(text) ?? [];
  return event === undefined ? undefined : { event, version: Number(version), endsAt: Number(endsAt) };
}

/** No command's id is this long: a publish that expects it is always refused. */
const NO_COMMAND_ID = '-'.repeat(LIMITS.idHeaderCharacters + 1);

/**
 * Asks whether a command with this id came into the stream within its dedupe window: a publish that is a duplicate, or
 * is refused for what it expects, and so is never stored. A replicated stream looks for the id before it looks at the
 * subject's sequence, another one before it looks at the last message's id. (Refused for the latter, a replicated one
 * would hold the id for in process and not answer to it any more.)
 */
export function askForCommandId(
  requester: RequestPort,
  agent: string,
  message: Pick<CommitMessage, 'entityId' | 'event' | 'commandId'>,
  replicated: boolean,
): Promise<MessageIdResult> {
  const { entityId, event, commandId } = message;
  const expectation: (readonly [string, string])[] = replicated
    ? expecting(NO_SEQUENCE, entityFilter(agent, entityId))
    : [['Nats-Expected-Last-Msg-Id', NO_COMMAND_ID]];
  const headers = rawHeaders([['Nats-Msg-Id', commandId], ...expectation]);
  return requester.request(entitySubject(agent, entityId, event), NOTHING, headers).then(readMessageIdAck);
}

const NOTHING = new Uint8Array();
