import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { boundedText, EntityId, EntityVersion, JsonObject, Timestamp } from './primitives.ts';

/** `qry.<agent>.get` */
export const GetQuery = z.strictObject({
  entity_id: EntityId,
  /** The answer is at least as new as this version, e.g. one that the caller has just written. */
  min_version: EntityVersion.optional(),
});
export type GetQuery = z.output<typeof GetQuery>;
export const GetResult = z.object({ entity_id: EntityId, entity_version: EntityVersion, state: JsonObject });
export interface GetResult<State = JsonObject> {
  entity_id: string;
  entity_version: number;
  state: State;
}

/** `qry.<agent>.history` */
export const HistoryQuery = z.strictObject({
  entity_id: EntityId,
  limit: z.int().min(1).max(LIMITS.historyEvents).default(50),
  /** Only events of versions below this one: the last version of a page asks for the next. */
  before_version: EntityVersion.optional(),
});
export type HistoryQuery = z.output<typeof HistoryQuery>;
export const HistoryEvent = z.object({
  /** The event's subject, such as `evt.inventory.updated`. */
  event: z.string(),
  entity_version: EntityVersion,
  time: Timestamp,
  command_id: z.string(),
  state: JsonObject.nullable(),
  data: JsonObject.optional(),
});
export interface HistoryEvent<State = JsonObject> {
  event: string;
  entity_version: number;
  time: string;
  command_id: string;
  state: State | null;
  data?: JsonObject | undefined;
}
/** Newest first. */
export const HistoryResult = z.object({ events: z.array(HistoryEvent) });
export interface HistoryResult<State = JsonObject> {
  events: HistoryEvent<State>[];
}

/** `qry.<agent>.list` */
export const ListQuery = z.strictObject({
  limit: z.int().min(1).max(LIMITS.listEntities).default(100),
  /** Only entity ids after this one; `next` of a page asks for the following. */
  after: boundedText(LIMITS.entityIdCharacters, 0).optional(),
  /** Only entity ids that begin with this text. */
  prefix: boundedText(LIMITS.entityIdCharacters, 0).optional(),
});
export type ListQuery = z.output<typeof ListQuery>;
/** Live entities in the order of their ids (by UTF-16 code unit); `next` is there when more follow. */
export const ListResult = z.object({ entities: z.array(GetResult), next: z.string().optional() });
export interface ListResult<State = JsonObject> {
  entities: GetResult<State>[];
  next?: string | undefined;
}

/** `qry.<agent>.outcome`: what became of a command. */
export const OutcomeQuery = z.strictObject({
  entity_id: EntityId,
  command_id: boundedText(LIMITS.idHeaderCharacters),
});
export type OutcomeQuery = z.output<typeof OutcomeQuery>;
export const OutcomeResult = z.object({
  entity_id: EntityId,
  command_id: z.string(),
  /**
   * - `committed`: its event is in the entity's log;
   * - `refused`: the log holds its refusal; only durable commands have one there;
   * - `pending`: it is stored and not decided yet;
   * - `unknown`: nothing is known of it. That is not "no": it may be under way, refused as a request, or too long ago.
   */
  status: z.enum(['committed', 'refused', 'pending', 'unknown']),
  /** Of a committed or refused one, as its reply had them; left out where they are no longer kept. */
  event: z.string().optional(),
  payload: JsonObject.optional(),
});
export type OutcomeResult = z.output<typeof OutcomeResult>;
