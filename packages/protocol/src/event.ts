import { z } from 'zod';
import { EntityId, EntityVersion, JsonObject, VersionOrNone } from './primitives.ts';

/** One thing wrong with a message: where, and what was expected. */
export const Issue = z.object({ path: z.string(), message: z.string() });
export type Issue = z.output<typeof Issue>;

/** A committed change: the entity as it stands after the event. `state` is null after a delete. */
export const SuccessPayload = z.object({
  entity_id: EntityId,
  entity_version: EntityVersion,
  state: JsonObject.nullable(),
  data: JsonObject.optional(),
});
export interface SuccessPayload<State = JsonObject, Data = JsonObject> {
  entity_id: string;
  entity_version: number;
  state: State | null;
  data?: Data | undefined;
}

/** A command expected another version than the entity has. */
export const ConflictPayload = z.object({
  entity_id: EntityId,
  expected_version: VersionOrNone,
  /** 0 = no live entity. */
  current_version: VersionOrNone,
  reason: z.string(),
  action: z.string(),
});
export type ConflictPayload = z.output<typeof ConflictPayload>;

/** A command or query was refused; nothing changed. */
export const RejectedPayload = z.object({
  /** Null where the message did not say. */
  entity_id: z.string().nullable(),
  action: z.string(),
  code: z.string(),
  reason: z.string(),
  issues: z.array(Issue).optional(),
});
export type RejectedPayload = z.output<typeof RejectedPayload>;

/** The success event of an action, typed by the agent's schemas. */
export function successSchema(state: z.ZodType, data?: z.ZodType): z.ZodType {
  return SuccessPayload.extend({ state: state.nullable(), ...(data === undefined ? {} : { data: data.optional() }) });
}

/** The answer to every command that carried a reply inbox: the event that was emitted, and its payload. */
export const ReplyBody = z.object({ event: z.string(), payload: JsonObject });
export type ReplyBody = z.output<typeof ReplyBody>;
