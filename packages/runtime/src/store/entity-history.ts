import { eventSubject, HEADERS, type HistoryEvent } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { listCommands, readRecent, type RecentCommand } from '../core/recent.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import { logMessage, type StoredMessage } from '../nats/stored-message.ts';

/**
 * The newest events of an entity below a version, newest first. Each message remembers the sequences of the commands
 * before it, so the log is read backwards in strides of 32, however long it is. A lease commit leaves the log with its lease, and
 * is left out (I1).
 *
 * @returns undefined if the entity never was.
 */
export async function entityHistory(
  agent: AnyAgent,
  reader: EntityReader,
  entityId: string,
  limit: number,
  beforeVersion: number,
): Promise<ReadResult<HistoryEvent[] | undefined>> {
  const entity = await reader.entity(entityId, false);
  if (entity.kind === 'unavailable') return entity;
  if (entity.value.version === 0) return { kind: 'read', value: undefined };

  const events: HistoryEvent[] = [];
  let earlier = listCommands(entity.value.recent);
  for (;;) {
    let read = await readAll(reader, wanted(earlier, limit - events.length, beforeVersion));
    // Leases leave the log: where none of those is there any more, the rest may tell how to go on.
    if (read.kind === 'read' && read.value.length === 0) read = await readAll(reader, earlier.toReversed());
    if (read.kind === 'unavailable') return read;
    for (const message of read.value) {
      const event = toEvent(agent, message);
      if (event !== undefined && event.entity_version < beforeVersion && events.length < limit) events.push(event);
    }
    const oldest = read.value.at(-1);
    if (events.length >= limit || oldest === undefined) return { kind: 'read', value: events };
    earlier = listCommands(readRecent(oldest.headers.get(HEADERS.recent))).filter(
      ({ sequence }) => sequence < oldest.sequence,
    );
  }
}

/** Of the remembered ones, newest first, those to read: no more than are missing, and the oldest to go on from. */
function wanted(earlier: readonly RecentCommand[], missing: number, beforeVersion: number): RecentCommand[] {
  const oldest = earlier[0];
  const below = earlier.filter(({ isRefused, version }) => isRefused !== true && version < beforeVersion).toReversed();
  if (below.length > 0) return below.length > missing ? below.slice(0, missing) : below;
  return oldest === undefined ? [] : [oldest];
}

async function readAll(reader: EntityReader, entries: readonly RecentCommand[]): Promise<ReadResult<StoredMessage[]>> {
  const reads = await Promise.all(entries.map(({ sequence }) => reader.message(sequence)));
  const messages: StoredMessage[] = [];
  for (const read of reads) {
    if (read.kind === 'unavailable') return read;
    if (read.value !== undefined) messages.push(read.value);
  }
  return { kind: 'read', value: messages };
}

/** Undefined for what is no event, or one that changed nothing of the entity but its notes. */
function toEvent(agent: AnyAgent, stored: StoredMessage): HistoryEvent | undefined {
  const { entry } = logMessage(stored);
  if (entry.kind === 'record' || entry.kind === 'unchanged') return undefined;
  const event = entry.kind === 'expiry' ? (agent.lease?.expiryEvent ?? entry.event) : entry.event;
  return {
    event: eventSubject(agent.name, event),
    entity_version: entry.version,
    time: new Date(stored.time).toISOString(),
    command_id: stored.headers.get(HEADERS.commandId),
    state: entry.state,
    ...(entry.data === undefined ? {} : { data: entry.data }),
  };
}
