/**
 * The stream as a witness: every message of an agent's log as the leader has it, read with nothing but JetStream's own
 * API, so that what agents answered can be held against what is stored.
 */
import { entityStream, HEADERS, parseSubject, type JsonObject } from '@meshforge/protocol';
import { jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import { expect } from 'vitest';

/** One message of an agent's log. */
export interface Commit {
  sequence: number;
  subject: string;
  entityId: string;
  /** Last token of the subject. */
  event: string;
  version: number;
  state: JsonObject | null;
  data: JsonObject | undefined;
  commandId: string;
  /** RFC 3339, the server's. */
  time: string;
  headers: MsgHdrs;
}

/** Reads side by side. */
const STRIDE = 256;

/** All messages of a stream, oldest first. */
export async function readStream(connection: NatsConnection, stream: string): Promise<StoredMsg[]> {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 30_000 });
  const { state } = await manager.streams.info(stream);
  const messages: StoredMsg[] = [];
  for (let first = state.first_seq; first <= state.last_seq; first += STRIDE) {
    const sequences = Array.from({ length: Math.min(STRIDE, state.last_seq - first + 1) }, (_, i) => first + i);
    const stored = await Promise.all(sequences.map((seq) => manager.streams.getMessage(stream, { seq })));
    // Rolled up, or purged by an expiry: null.
    messages.push(...stored.filter((message) => message !== null));
  }
  return messages;
}

/** All events in the agent's log, oldest first; records are none. */
export async function readCommits(connection: NatsConnection, agent: string): Promise<Commit[]> {
  const stored = await readStream(connection, entityStream(agent));
  return stored.filter(({ subject }) => parseSubject(subject)?.kind !== 'record').map(toCommit);
}

function toCommit(message: StoredMsg): Commit {
  const parsed = parseSubject(message.subject);
  if (parsed?.kind !== 'entity') throw new Error(`${message.subject} at ${message.seq} is no commit`);
  const body = message.json<{ entity_version: number; state: JsonObject | null; data?: JsonObject }>();
  return {
    sequence: message.seq,
    subject: message.subject,
    entityId: parsed.entityId,
    event: parsed.event,
    version: body.entity_version,
    state: body.state,
    data: body.data,
    commandId: message.header.get(HEADERS.commandId),
    time: message.timestamp,
    headers: message.header,
  };
}

/** By entity, in log order. */
export function byEntity(commits: readonly Commit[]): Map<string, Commit[]> {
  const groups = new Map<string, Commit[]>();
  for (const commit of commits) {
    const group = groups.get(commit.entityId);
    if (group === undefined) groups.set(commit.entityId, [commit]);
    else group.push(commit);
  }
  return groups;
}

/** I1: every entity's versions are 1, 2, 3, … in log order. For logs whose commits all stay (no leases). */
export function expectGapless(commits: readonly Commit[]): void {
  for (const [entityId, own] of byEntity(commits)) {
    expect(
      own.map(({ version }) => version),
      `versions of ${entityId}`,
    ).toEqual(own.map((_, index) => index + 1));
  }
}

/** I5: no command id is in the log twice. */
export function expectEachOnce(commits: readonly Commit[]): void {
  const seen = new Set<string>();
  const twice = commits.filter(({ commandId }) => seen.size === seen.add(commandId).size);
  expect(twice, 'command ids that committed twice').toEqual([]);
}
