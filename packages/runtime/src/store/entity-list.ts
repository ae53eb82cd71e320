import { entityEventFilter, parseSubject, type GetResult, type JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import type { SeenEntity } from '../core/companion.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';

/** Subjects of a stream that match a filter, with the number of messages on each. */
export type ListSubjects = (filter: string) => Promise<Record<string, number>>;

export interface ListRequest {
  limit: number;
  after?: string | undefined;
  prefix?: string | undefined;
}

/** Entities read side by side. */
const STRIDE = 64;

/**
 * A page of live entities in the order of their ids. Walks the server's index of subjects, so its cost grows with the
 * number of entities of the agent: a view for people and small sets, not a query engine.
 *
 * @param maxBytes bytes of states after which the page ends early.
 */
export async function listEntities(
  agent: AnyAgent,
  reader: EntityReader,
  subjects: ListSubjects,
  request: ListRequest,
  maxBytes: number,
  view?: (entityId: string, entity: SeenEntity, query: 'list') => JsonObject,
): Promise<ReadResult<{ entities: GetResult[]; next?: string }>> {
  const ids = await entityIds(agent, subjects, request);
  const entities: GetResult[] = [];
  let bytes = 0;
  for (let at = 0; at < ids.length; at += STRIDE) {
    const reads = await Promise.all(ids.slice(at, at + STRIDE).map((id) => reader.entity(id, false)));
    for (const [i, read] of reads.entries()) {
      if (read.kind === 'unavailable') return read;
      const { state, version } = read.value;
      if (state === null) continue;
      if (entities.length === request.limit || (entities.length > 0 && bytes + read.value.bytes > maxBytes)) {
        return { kind: 'read', value: { entities, next: (entities.at(-1) as GetResult).entity_id } };
      }
      bytes += read.value.bytes;
      const id = ids[at + i] as string;
      entities.push({ entity_id: id, entity_version: version, state, ...view?.(id, read.value, 'list') });
    }
  }
  return { kind: 'read', value: { entities } };
}

async function entityIds(agent: AnyAgent, subjects: ListSubjects, request: ListRequest): Promise<string[]> {
  const { after, prefix = '' } = request;
  const ids = new Set<string>();
  for (const filter of birthFilters(agent)) {
    for (const subject of Object.keys(await subjects(filter))) {
      const parsed = parseSubject(subject);
      if (parsed?.kind !== 'entity') continue;
      const { entityId } = parsed;
      if (entityId.startsWith(prefix) && (after === undefined || entityId > after)) ids.add(entityId);
    }
  }
  return [...ids].sort();
}

/** Every entity has a message under one of these: the events that can bring one about. Lease commits do not last. */
function birthFilters(agent: AnyAgent): string[] {
  if (agent.lease !== undefined) return [entityEventFilter(agent.name, '*')];
  const births = Object.values(agent.actions).filter((action) => action.entity !== 'present');
  return [...new Set(births.map((action) => action.event))].map((event) => entityEventFilter(agent.name, event));
}
