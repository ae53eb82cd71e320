import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { EntityId, JsonObject, VersionOrNone } from './primitives.ts';
import { printable } from './text.ts';

/** What people write when they mean a key of the command, and what it is called. */
const MEANT: Readonly<Record<string, string>> = {
  expectedVersion: 'expected_version',
  'expected-version': 'expected_version',
  version: 'expected_version',
  entity_version: 'expected_version',
  entityVersion: 'expected_version',
  entityId: 'entity_id',
  id: 'entity_id',
  payload: 'data',
};

/** Says of an unknown key what to write instead, where that is known. */
export function unknownKeyMessage(key: string): string {
  if (key === 'agent_version') {
    return 'agent_version was removed in 0.14: send expected_version, the version of the entity';
  }
  const meant = Object.hasOwn(MEANT, key) ? MEANT[key] : undefined;
  return meant === undefined
    ? `unknown key "${printable(key, LIMITS.keyCharacters)}"`
    : `unknown key ${key}: write ${meant}`;
}

/**
 * The body of a command. Any other key is an error, so that a typo such as `expectedVersion` cannot switch the
 * concurrency guard off.
 */
export const CommandBody = z.strictObject({
  entity_id: EntityId,
  /** The version that the sender saw; 0 = the entity must not exist. Left out, the command applies to any version. */
  expected_version: VersionOrNone.optional(),
  data: JsonObject.optional(),
});
export type CommandBody = z.output<typeof CommandBody>;

/** The JSON body of a command to an action whose data has the given schema. */
export function commandSchema(data: z.ZodType): z.ZodType {
  const optional = data.safeParse({}).success;
  return z.strictObject({ ...CommandBody.shape, data: optional ? data.optional() : data });
}
