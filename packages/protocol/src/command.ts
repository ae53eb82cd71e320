import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { EntityId, EntityVersion, JsonObject, VersionOrNone } from './primitives.ts';
import { printable } from './text.ts';

const LEASE = 'lease: { resource, fencing_token }';

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
const MEANT_IN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '': { fencing_token: LEASE, fencingToken: LEASE },
  lease: { fencingToken: 'fencing_token', token: 'fencing_token', entity_id: 'resource', resourceId: 'resource' },
};

/**
 * Says of an unknown key what to write instead, where that is known.
 * @param within path of the object that has the key; empty for the message itself
 */
export function unknownKeyMessage(key: string, within = ''): string {
  if (key === 'agent_version') {
    return 'agent_version was removed in 0.14: send expected_version, the version of the entity';
  }
  const words = { ...MEANT, ...(Object.hasOwn(MEANT_IN, within) ? MEANT_IN[within] : {}) };
  const meant = Object.hasOwn(words, key) ? words[key] : undefined;
  return meant === undefined
    ? `unknown key "${printable(key, LIMITS.keyCharacters)}"`
    : `unknown key ${key}: write ${meant}`;
}

/**
 * The lease under which a command is sent. The entity refuses it once it has seen a higher token of the resource: whoever
 * sent it held the lock no longer.
 */
export const CommandLease = z.strictObject({
  /** What was locked; for the lock manager, the id of the lock. */
  resource: EntityId,
  /** From the grant. Whoever grants leases on the resource never gives out a lower one after a higher. */
  fencing_token: EntityVersion,
});
export type CommandLease = z.output<typeof CommandLease>;

/**
 * The body of a command. Any other key is an error, so that a typo such as `expectedVersion` cannot switch the
 * concurrency guard off.
 */
export const CommandBody = z.strictObject({
  entity_id: EntityId,
  /** The version that the sender saw; 0 = the entity must not exist. Left out, the command applies to any version. */
  expected_version: VersionOrNone.optional(),
  lease: CommandLease.optional(),
  data: JsonObject.optional(),
});
export type CommandBody = z.output<typeof CommandBody>;

/**
 * The JSON body of a command to an action whose data has the given schema.
 * @param requiresLease whether the action asks for the lease under which it is sent; an agent answers `lease_required`
 * to a command without one, and not that it is malformed
 */
export function commandSchema(data: z.ZodType, requiresLease = false): z.ZodType {
  const optional = data.safeParse({}).success;
  return z.strictObject({
    ...CommandBody.shape,
    ...(requiresLease ? { lease: CommandLease } : {}),
    data: optional ? data.optional() : data,
  });
}
