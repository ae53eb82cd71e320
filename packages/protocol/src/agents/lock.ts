import { z } from 'zod';
import { defineContract } from '../contract.ts';
import { boundedText, EntityId, Timestamp } from '../primitives.ts';

/** Bounds of a lease, in milliseconds unless the name says otherwise. */
export const LOCK_LIMITS = {
  minTtlMs: 500,
  maxTtlMs: 86_400_000,
  defaultTtlMs: 30_000,
  maxWaitMs: 600_000,
  /** A lock that has been free for so long goes to anybody who asks, past owners who wait and whom nobody serves. */
  passOverMs: 2_000,
  /** Owners that wait for one lock; each adds 30 bytes to every commit on it. */
  maxWaiters: 512,
  /** Locks that one `acquire` of the client takes together. */
  maxResources: 32,
  /** Characters of the reason for which a lease is broken: it rides on the event. */
  reasonCharacters: 256,
} as const;

const OwnerId = boundedText(256);

/** Grows with every grant of a lock, also over a purge of its log: the server's time in microseconds, or one more than the last. */
const FencingToken = z.int().min(1);
const TtlMs = z.int().min(LOCK_LIMITS.minTtlMs).max(LOCK_LIMITS.maxTtlMs).default(LOCK_LIMITS.defaultTtlMs);

/** A lock on the resource that the entity id names. */
export const LockState = z.strictObject({
  /** Null when nobody holds the lock. */
  owner_id: OwnerId.nullable(),
  /** Of the present, or last, grant. */
  fencing_token: FencingToken,
  acquired_at: Timestamp,
  /** When the lease ends, or ended. */
  expires_at: Timestamp,
});
export type LockState = z.output<typeof LockState>;

export const LOCK_DENIALS = [
  /** Somebody holds the lock, or others wait for it and came first. */
  'held',
  'not_held',
  'not_holder',
  /** As many wait for the lock as may. */
  'queue_full',
  'not_waiting',
  /** The wait was ended by `cancel`, or by a later `acquire` of the same owner. */
  'cancelled',
] as const;
export type LockDenial = (typeof LOCK_DENIALS)[number];

/** Payload of `evt.lock.denied`. */
export const DeniedPayload = z.object({
  entity_id: EntityId,
  /** Whose command was denied; of `break`, which names no owner, that of the lock. */
  owner_id: OwnerId.nullable(),
  code: z.enum(LOCK_DENIALS),
  reason: z.string(),
  current_owner_id: OwnerId.nullable(),
  expires_at: Timestamp.nullable(),
  /** When another try can succeed at the earliest, in milliseconds from now. */
  retry_after_ms: z.int().min(0).optional(),
  /** How many wait for the lock, if any do. */
  waiters: z.int().min(1).optional(),
});
export type DeniedPayload = z.output<typeof DeniedPayload>;

/** What `evt.lock.released` adds where it was not the holder who released the lock. */
export const LeaseTaken = z.object({
  /** `broken` by an operator; `gone`: the owner could not be told of its grant. */
  cause: z.enum(['broken', 'gone']),
  /** Who held the lock. */
  owner_id: OwnerId,
  reason: z.string(),
  /** Who broke it, if they said so. */
  operator_id: OwnerId.optional(),
});
export type LeaseTaken = z.output<typeof LeaseTaken>;

/** Payload of `evt.lock.lost`. */
export const LeaseLost = LeaseTaken.extend({ entity_id: EntityId, fencing_token: FencingToken });
export type LeaseLost = z.output<typeof LeaseLost>;

const WaiterCount = z.int().min(0);

/** What `evt.lock.queued` adds. */
export const Queued = z.object({
  owner_id: OwnerId,
  /** 1 = next. */
  position: z.int().min(1),
  waiters: z.int().min(1),
  /** When the wait ends. */
  until: Timestamp,
});
export type Queued = z.output<typeof Queued>;

/** What `evt.lock.cancelled` and `evt.lock.left` add. `waiters`: how many still wait. */
export const WaitEnded = z.object({ owner_id: OwnerId, waiters: WaiterCount });
export type WaitEnded = z.output<typeof WaitEnded>;

/** What queries tell of a lock beside its state. */
export const LockView = z.object({
  /** Of the lease, in milliseconds; 0 when nobody holds the lock. */
  remaining_ms: z.int().min(0),
  waiters: WaiterCount,
  /** Who waits, first come first; `get` alone tells. */
  queue: z.array(z.object({ owner_id: OwnerId, position: z.int().min(1), until: Timestamp })).optional(),
});
export type LockView = z.output<typeof LockView>;

/** The agent `sys_lock_manager`; it speaks under the token `lock`. */
export const lockContract = defineContract({
  name: 'sys_lock_manager',
  description: 'Leases with fencing tokens, one entity per resource.',
  state: LockState,
  view: LockView,
  actions: {
    acquire: {
      description: 'Takes the lock for an owner until the lease ends. For the holder it is a refresh.',
      data: z.strictObject({
        owner_id: OwnerId,
        ttl_ms: TtlMs,
        /** How long the answer may be held back for the lock to come free. */
        wait_ms: z.int().min(0).max(LOCK_LIMITS.maxWaitMs).default(0),
        /** A lease that was waited for lasts only so long, unless a refresh takes it up. */
        take_up_ms: z.int().min(LOCK_LIMITS.minTtlMs).max(LOCK_LIMITS.maxTtlMs).optional(),
      }),
      event: 'acquired',
    },
    refresh: {
      description: 'Moves the end of a lease that its owner holds; the fencing token stays.',
      data: z.strictObject({ owner_id: OwnerId, fencing_token: FencingToken.optional(), ttl_ms: TtlMs }),
      event: 'acquired',
    },
    release: {
      description: 'Ends a lease that its owner holds.',
      data: z.strictObject({ owner_id: OwnerId, fencing_token: FencingToken.optional() }),
      event: 'released',
    },
    cancel: {
      description: 'Takes an owner who waits for the lock out of the queue.',
      data: z.strictObject({ owner_id: OwnerId }),
      event: 'cancelled',
      eventData: WaitEnded,
    },
    break: {
      description: 'Ends a lease whoever holds it; for operators.',
      data: z.strictObject({ reason: boundedText(LOCK_LIMITS.reasonCharacters), operator_id: OwnerId.optional() }),
      event: 'released',
      eventData: LeaseTaken,
    },
    wait: {
      description: 'Gives an owner a place among those who wait.',
      data: z.strictObject({ owner_id: OwnerId, command: z.string(), since: z.int().min(0), until: z.int().min(0) }),
      event: 'queued',
      eventData: Queued,
      internal: true,
    },
    grant: {
      description: 'Acquires for a command that has a place; says what it is answered if it has none any more.',
      data: z.strictObject({
        owner_id: OwnerId,
        ttl_ms: TtlMs,
        take_up_ms: TtlMs.optional(),
        command: z.string(),
        /** What it is told if it has no place. */
        otherwise: z.enum(['held', 'queue_full']),
      }),
      event: 'acquired',
      internal: true,
    },
    leave: {
      description: 'Takes the place of a command away: its wait is over.',
      data: z.strictObject({ owner_id: OwnerId, command: z.string() }),
      event: 'left',
      eventData: WaitEnded,
      internal: true,
    },
    withdraw: {
      description: 'Takes back a grant of which its owner could not be told.',
      data: z.strictObject({ owner_id: OwnerId, fencing_token: FencingToken }),
      event: 'released',
      eventData: LeaseTaken,
      internal: true,
    },
  },
  expiryEvent: 'expired',
  notices: {
    lost: {
      description: 'A lease was taken from its holder; told beside `released`, of which there are many more.',
      schema: LeaseLost,
    },
  },
  denied: DeniedPayload,
});
