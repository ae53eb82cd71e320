/**
 * The one place that publishes to `ent.>`. Every write carries the compare-and-set with the byte-identical filter of
 * its entity; without it the server's guard could be bypassed.
 */
import { entityFilter, entitySubject, HEADERS, probeSubject, recordSubject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import type { LogEntry, StandingLease } from '../core/entity.ts';
import { recentHeader } from '../core/recent.ts';
import { expecting } from './expecting.ts';
import { readProbe, readPublishAck, type ProbeResult, type PublishResult } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';

export interface CommitMessage {
  entityId: string;
  entry: LogEntry;
  body: Uint8Array;
  /** Sequence of the entity's last message; 0 = it has none. */
  expectedSequence: number;
  /** The stream stores one message with it within its dedupe window: of a command, its id. */
  messageId: string;
  /** Mesh and trace headers of the command, checked. */
  headers: readonly (readonly [name: string, value: string])[];
  /** The lease that stood before. */
  standing?: StandingLease | undefined;
}

export function publishCommit(
  requester: RequestPort,
  { lease: definition, name }: Pick<AnyAgent, 'lease' | 'name'>,
  { body, entityId, entry, expectedSequence, headers, messageId, standing }: CommitMessage,
): Promise<PublishResult> {
  const { command, earlier, event, fences, kind, lease, mark, notes, version } = entry;
  const setsLease = kind === 'commit' && lease !== undefined;
  const lines: (readonly [string, string])[] = [
    ...expecting(expectedSequence, entityFilter(name, entityId)),
    ['Nats-Msg-Id', messageId],
    ...headers,
    [HEADERS.recent, recentHeader(earlier)],
  ];
  if (command !== undefined) lines.push([HEADERS.body, command.body === '' ? NO_BODY : command.body]);
  if (fences !== '') lines.push([HEADERS.fences, fences]);
  if (notes !== '') lines.push([HEADERS.notes, notes]);
  if (mark.sequence > 0) lines.push([HEADERS.mark, `${mark.sequence.toString(36)}.${mark.storedAt.toString(36)}`]);
  if (kind === 'unchanged') lines.push([HEADERS.unchanged, 'true']);
  if (setsLease && definition !== undefined) {
    lines.push(['Nats-Schedule', `@at ${new Date(lease.endsAt).toISOString()}`]);
    lines.push(['Nats-Schedule-Target', entitySubject(name, entityId, 'x', definition.expiryEvent)]);
  } else if (lease !== undefined) {
    lines.push([HEADERS.lease, leaseText(lease)]);
  }
  if (standing !== undefined && standing.version !== lease?.version) {
    // The lease ends, or a new one takes its place: the same publish takes its schedule out.
    lines.push(['Nats-Schedule-Next', 'purge']);
    lines.push(['Nats-Scheduler', entitySubject(name, entityId, standing.version, standing.event)]);
  }
  const subject =
    kind === 'record'
      ? recordSubject(name, entityId)
      : entitySubject(
          name,
          entityId,
          kind === 'expiry' ? 'x' : setsLease ? version : 0,
          kind === 'expiry' && definition !== undefined ? definition.expiryEvent : event,
        );
  return requester.request(subject, body, rawHeaders(lines)).then(readPublishAck);
}

/** Value of `Mesh-Body` for a command of which nobody took a digest. */
export const NO_BODY = '-';

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

const NOTHING = new Uint8Array();

/**
 * Asks whether a command with this id came into the stream within its dedupe window. The publish is a duplicate, or else
 * refused for its roll-up, so it is never stored. (`Nats-Expected-Last-Msg-Id` would ask the same, but one that does not
 * match stops a replicated stream for good.)
 */
export function probe(requester: RequestPort, agent: string, commandId: string): Promise<ProbeResult> {
  const headers = rawHeaders([
    ['Nats-Msg-Id', commandId],
    ['Nats-Rollup', 'none'],
  ]);
  return requester.request(probeSubject(agent), NOTHING, headers).then(readProbe);
}
