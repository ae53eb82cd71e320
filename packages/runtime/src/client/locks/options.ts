import { EntityId, LOCK_LIMITS } from '@meshforge/protocol';
import { nuid } from '@nats-io/nats-core';
import { MeshError } from '../../errors.ts';
import type { LockOptions } from './types.ts';

export interface ResolvedLockOptions {
  /** As the caller named them. */
  resources: readonly string[];
  ttlMs: number;
  waitMs: number;
  ownerId: string;
  /** Nobody else uses this owner id: whatever it holds, this call has acquired. */
  ownerIsNew: boolean;
  signal: AbortSignal | undefined;
}

/** @throws MeshError `invalid_options` */
export function resolveLockOptions(resource: string | readonly string[], options: LockOptions): ResolvedLockOptions {
  const { ttlMs = LOCK_LIMITS.defaultTtlMs, waitMs = 0, ownerId, signal } = options;
  const resources = typeof resource === 'string' ? [resource] : [...resource];
  if (resources.length < 1 || resources.length > LOCK_LIMITS.maxResources) {
    wrong('resources', resources.length, `expected 1 to ${LOCK_LIMITS.maxResources} of them`);
  }
  for (const each of resources) text('resource', each);
  const twice = resources.find((each, at) => resources.indexOf(each) !== at);
  if (twice !== undefined) wrong('resources', twice, 'expected each resource once');
  if (ownerId !== undefined) text('ownerId', ownerId);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    wrong('signal', typeof signal, 'expected an AbortSignal');
  return {
    resources,
    ttlMs: whole('ttlMs', ttlMs, LOCK_LIMITS.minTtlMs, LOCK_LIMITS.maxTtlMs),
    waitMs: whole('waitMs', waitMs, 0, LOCK_LIMITS.maxWaitMs),
    ownerId: ownerId ?? nuid.next(),
    ownerIsNew: ownerId === undefined,
    signal,
  };
}

function text(option: string, value: unknown): void {
  // An owner id has the bounds of an entity id.
  if (!EntityId.safeParse(value).success) wrong(option, value, 'expected text of 1 to 256 characters');
}

function whole(option: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  return wrong(option, value, `expected an integer from ${least} to ${most}`);
}

function wrong(option: string, value: unknown, expected: string): never {
  throw new MeshError({
    code: 'invalid_options',
    message: `${option} is ${JSON.stringify(value)}: ${expected}`,
    details: { option, value },
  });
}
