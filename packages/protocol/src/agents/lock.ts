import { z } from 'zod';
import { defineContract } from '../contract.ts';
import { boundedText, EntityId, EntityVersion, Timestamp } from '../primitives.ts';

/** Bounds of a lease, in milliseconds unless the name says otherwise. */
export const LOCK_LIMITS = {
  minTtlMs: 500,
  maxTtlMs: 86_400_000,
  defaultTtlMs: 30_000,
  maxWaitMs: 600_000,
  /** A lease this close to its end cannot be refreshed: the expiry may already be on its way. */
  guardMs: 250,
} as const;

const OwnerId = boundedText(256);
const TtlMs = z.int().min(LOCK_LIMITS.minTtlMs).max(LOCK_LIMITS.maxTtlMs).default(LOCK_LIMITS.defaultTtlMs);

/** A lock on the resource that the entity id names. */
export const LockState = z.strictObject({
  /** Null when nobody holds the lock. */
  owner_id: OwnerId.nullable(),
  /** `entity_version` at which the present (or last) holder was granted the lock; it only grows. */
  fencing_token: EntityVersion,
  acquired_at: Timestamp,
  /** When the lease ends, or ended. */
  expires_at: Timestamp,
});
export type LockState = z.output<typeof LockState>;

export const LOCK_DENIALS = ['held', 'not_held', 'not_holder', 'too_late'] as const;
export type LockDenial = (typeof LOCK_DENIALS)[number];

/** Payload of `evt.lock.denied`. */
export const DeniedPayload = z.object({
  entity_id: EntityId,
  owner_id: OwnerId,
  code: z.enum(LOCK_DENIALS),
  reason: z.string(),
  current_owner_id: OwnerId.nullable(),
  expires_at: Timestamp.nullable(),
  /** When another try can succeed at the earliest, in milliseconds from now. */
  retry_after_ms: z.int().min(0).optional(),
});
export type DeniedPayload = z.output<typeof DeniedPayload>;

/** The agent `sys_lock_manager`; it speaks under the token `lock`. */
export const lockContract = defineContract({
  name: 'sys_lock_manager',
  description: 'Leases with fencing tokens, one entity per resource.',
  state: LockState,
  actions: {
    acquire: {
      description: 'Takes the lock for an owner until the lease ends. For the holder it is a refresh.',
      data: z.strictObject({
        owner_id: OwnerId,
        ttl_ms: TtlMs,
        wait_ms: z.int().min(0).max(LOCK_LIMITS.maxWaitMs).default(0),
      }),
      event: 'acquired',
    },
    refresh: {
      description: 'Moves the end of a lease that its owner holds; the fencing token stays.',
      data: z.strictObject({ owner_id: OwnerId, fencing_token: EntityVersion.optional(), ttl_ms: TtlMs }),
      event: 'acquired',
    },
    release: {
      description: 'Ends a lease that its owner holds.',
      data: z.strictObject({ owner_id: OwnerId, fencing_token: EntityVersion.optional() }),
      event: 'released',
    },
  },
  expiryEvent: 'expired',
  denied: DeniedPayload,
});
