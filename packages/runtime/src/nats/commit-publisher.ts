/**
 * The one place that publishes to `ent.>`. Every write carries the compare-and-set with the byte-identical filter of
 * its entity; without it the server's guard could be bypassed.
 */
import { entityFilter, entitySubject, HEADERS, probeSubject, recordSubject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import type { CommandHeaders } from '../core/decide.ts';
import { setsLease, type LogEntry, type StandingLease } from '../core/entity.ts';
import { recentHeader } from '../core/recent.ts';
import { expecting, type HeaderLine } from './expecting.ts';
import { readProbe, readPublishAck, type ProbeResult, type PublishResult } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';

export interface CommitMessage {
  entityId: string;
  entry: LogEntry;
  body: Uint8Array;
  /** Sequence of the entity's last message; 0 = it has none. */
  expectedSequence: number;
  /**
   * Id of the command that led to it, which the stream takes once within its dedupe window. Marks and expiries have none: a
   * sender could have chosen the same one. The compare-and-set alone keeps them from being stored twice.
   */
  commandId?: string;
  /** Mesh and trace headers of the command, checked. */
  headers: CommandHeaders;
  /** The lease that stood before. */
  standing?: StandingLease | undefined;
}

export function publishCommit(
  requester: RequestPort,
  agent: Pick<AnyAgent, 'lease' | 'name'>,
  { body, commandId, entityId, entry, expectedSequence, headers, standing }: CommitMessage,
): Promise<PublishResult> {
  const { command, earlier, fences, kind, lease, mark, notes } = entry;
  const lines: HeaderLine[] = [...expecting(expectedSequence, entityFilter(agent.name, entityId))];
  if (commandId !== undefined) lines.push(['Nats-Msg-Id', commandId]);
  lines.push(...headers, [HEADERS.recent, recentHeader(earlier)]);
  if (command !== undefined) lines.push([HEADERS.body, command.body === '' ? NO_BODY : command.body]);
  if (fences !== '') lines.push([HEADERS.fences, fences]);
  if (notes !== '') lines.push([HEADERS.notes, notes]);
  if (mark.sequence > 0) lines.push([HEADERS.mark, `${mark.sequence.toString(36)}.${mark.storedAt.toString(36)}`]);
  if (kind === 'unchanged') lines.push([HEADERS.unchanged, 'true']);
  if (setsLease(entry) && agent.lease !== undefined) {
    lines.push(['Nats-Schedule', `@at ${new Date(entry.lease.endsAt).toISOString()}`]);
    lines.push(['Nats-Schedule-Target', entitySubject(agent.name, entityId, 'x', agent.lease.expiryEvent)]);
  } else if (lease !== undefined) {
    lines.push([HEADERS.lease, leaseText(lease)]);
  }
  if (standing !== undefined && standing.version !== lease?.version) {
    // The lease ends, or a new one takes its place: the same publish takes its schedule out.
    lines.push(['Nats-Schedule-Next', 'purge']);
    lines.push(['Nats-Scheduler', entitySubject(agent.name, entityId, standing.version, standing.event)]);
  }
  return requester.request(subjectOf(agent, entityId, entry), body, rawHeaders(lines)).then(readPublishAck);
}

function subjectOf({ lease, name }: Pick<AnyAgent, 'lease' | 'name'>, entityId: string, entry: LogEntry): string {
  const { event, kind, version } = entry;
  if (kind === 'record') return recordSubject(name, entityId);
  if (kind === 'expiry') return entitySubject(name, entityId, 'x', lease?.expiryEvent ?? event);
  return entitySubject(name, entityId, setsLease(entry) ? version : 0, event);
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
