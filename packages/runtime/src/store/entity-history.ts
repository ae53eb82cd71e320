import { eventSubject, HEADERS, type HistoryEvent } from '@meshforge/protocol';
import { listCommits, readRecent } from '../core/recent.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import type { StoredMessage } from '../nats/stored-message.ts';

/** A message whose sequence an entity's newer message remembers. */
interface Known {
  sequence: number;
  version: number;
}

/**
 * The newest events of an entity below a version, newest first. Each message remembers the sequences of the commits
 * before it, so the log is read backwards in strides of 32, however long it is. A lease commit that a later one rolled
 * up is gone and left out (I1).
 *
 * @returns undefined if the entity never was.
 */
export async function entityHistory(
  reader: EntityReader,
  agent: string,
  entityId: string,
  limit: number,
  beforeVersion: number,
): Promise<ReadResult<HistoryEvent[] | undefined>> {
  const newest = await reader.lastMessage(entityId);
  if (newest.kind === 'unavailable') return newest;
  if (newest.value === undefined) return { kind: 'read', value: undefined };

  const events: HistoryEvent[] = [];
  let stride: StoredMessage[] = [newest.value];
  while (stride.length > 0) {
    for (const message of stride) {
      const event = toEvent(reader, agent, message);
      if (event !== undefined && event.entity_version < beforeVersion && events.length < limit) events.push(event);
    }
    if (events.length >= limit) break;
    const oldest = stride.at(-1) as StoredMessage;
    const earlier = listCommits(readRecent(oldest.headers.get(HEADERS.recent))).filter(
      (entry) => entry.sequence < oldest.sequence,
    );
    const read = await readAll(reader, wanted(earlier, limit - events.length, beforeVersion));
    if (read.kind === 'unavailable') return read;
    stride = read.value;
  }
  return { kind: 'read', value: events };
}

/** Of the remembered ones, newest first, those to read: no more than are missing, and the oldest to go on from. */
function wanted(earlier: readonly Known[], missing: number, beforeVersion: number): Known[] {
  const oldest = earlier[0];
  const below = earlier.filter(({ version }) => version < beforeVersion).toReversed();
  if (below.length > 0) return below.length > missing ? below.slice(0, missing) : below;
  return oldest === undefined ? [] : [oldest];
}

async function readAll(reader: EntityReader, entries: readonly Known[]): Promise<ReadResult<StoredMessage[]>> {
  const reads = await Promise.all(entries.map(({ sequence }) => reader.message(sequence)));
  const messages: StoredMessage[] = [];
  for (const read of reads) {
    if (read.kind === 'unavailable') return read;
    if (read.value !== undefined) messages.push(read.value);
  }
  return { kind: 'read', value: messages };
}

/** Undefined for one that changed nothing of the entity but its notes. */
function toEvent(reader: EntityReader, agent: string, stored: StoredMessage): HistoryEvent | undefined {
  const { aside, event, body } = reader.toLogMessage(stored);
  if (aside !== undefined) return undefined;
  return {
    event: eventSubject(agent, event),
    entity_version: body.entity_version,
    time: new Date(stored.time).toISOString(),
    command_id: stored.headers.get(HEADERS.commandId),
    state: body.state,
    ...(body.data === undefined ? {} : { data: body.data }),
  };
}
