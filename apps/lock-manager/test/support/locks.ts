/** The lock manager as any NATS client meets it: commands, answers and events, each checked against its exact shape. */
import {
  DeniedPayload,
  entityStream,
  entitySubject,
  eventSubject,
  HEADERS,
  LeaseTaken,
  lockContract,
  LockState,
  LockView,
  Queued,
  SuccessPayload,
  WaitEnded,
} from '@meshforge/protocol';
import { expect } from 'vitest';
import { until } from '../../../../packages/runtime/test/support/until.ts';
import {
  type openConnection,
  sendCommand,
  sendQuery,
  type RawCommand,
  type RawReply,
} from '../../../../packages/runtime/test/support/wire.ts';

export type Connection = Awaited<ReturnType<typeof openConnection>>;

export const LOCKS: string = lockContract.name;
export const LOCK_STREAM: string = entityStream(LOCKS);

/** Nothing beside what the protocol names: a key too many is as wrong as one that is missing. */
const LeasePayload = SuccessPayload.omit({ data: true }).extend({ state: LockState }).strict();
export type LeasePayload = ReturnType<typeof LeasePayload.parse>;
const StrictDenied = DeniedPayload.strict();

interface OwnerOptions extends Pick<RawCommand, 'commandId' | 'expectedVersion' | 'headers' | 'timeoutMs'> {
  ttl?: number;
  token?: number;
}

type Send = (connection: Connection, resource: string, owner: string, options?: OwnerOptions) => Promise<RawReply>;

function sender(action: 'acquire' | 'refresh' | 'release'): Send {
  return async (connection, resource, owner, { ttl, token, ...command } = {}) => {
    const data = { owner_id: owner, ttl_ms: ttl, fencing_token: token };
    return await sendCommand(connection, LOCKS, action, { entityId: resource, data, ...command });
  };
}

export const acquire: Send = sender('acquire');
export const refresh: Send = sender('refresh');
export const release: Send = sender('release');

/** The payload of a success of the given event. Throws for any other answer. */
export function success(reply: RawReply, event: 'acquired' | 'released'): LeasePayload {
  expect({ event: reply.event, payload: reply.payload }).toMatchObject({ event: eventSubject(LOCKS, event) });
  expect(reply.errorCode).toBe(0);
  expect(reply.headers?.has(HEADERS.error) ?? false).toBe(false);
  return LeasePayload.parse(reply.payload);
}

/** The lease that an answer grants or extends. */
export function lease(reply: RawReply): LeasePayload {
  return success(reply, 'acquired');
}

export function isLease(reply: RawReply): boolean {
  return reply.event === eventSubject(LOCKS, 'acquired');
}

/** The payload of a denial. Throws for any other answer. */
export function denial(reply: RawReply): DeniedPayload {
  expect({ event: reply.event, payload: reply.payload }).toMatchObject({ event: eventSubject(LOCKS, 'denied') });
  expect(reply.errorCode).toBe(422);
  expect(reply.headers?.get(HEADERS.error)).not.toBe('');
  expect(reply.replayed).toBe(false);
  return StrictDenied.parse(reply.payload);
}

const LockResult = LeasePayload.extend(LockView.shape).strict();

/** The lock as `get` shows it. */
export async function viewLock(connection: Connection, resource: string): Promise<ReturnType<typeof LockResult.parse>> {
  const { body, errorCode } = await sendQuery(connection, LOCKS, 'get', { entity_id: resource });
  expect({ errorCode, body }).toMatchObject({ errorCode: 0 });
  return LockResult.parse(body);
}

/** The lock as `get` shows it, without what depends on the moment. */
export async function readLock(connection: Connection, resource: string): Promise<LeasePayload> {
  const { remaining_ms: _remaining, waiters: _waiters, queue: _queue, ...lock } = await viewLock(connection, resource);
  return lock;
}

export function endOf({ state }: LeasePayload): number {
  return Date.parse(state.expires_at);
}

const added = {
  acquired: undefined,
  expired: undefined,
  released: LeaseTaken,
  queued: Queued,
  cancelled: WaitEnded,
  left: WaitEnded,
} as const;
type Change = keyof typeof added;

/** A change as the server announced it. */
export interface LockEvent {
  event: Change;
  payload: LeasePayload;
  /** What the event adds: who was queued, who took the lease away. */
  data: Partial<Queued & LeaseTaken> | undefined;
  sequence: number;
  /** When the server stored it, milliseconds since the epoch by its clock. */
  time: number;
  commandId: string;
}

export interface Announced {
  /** Changes in log order, each once. */
  changes(resource?: string): LockEvent[];
  denials: { payload: DeniedPayload; commandId: string }[];
}

/** Follows everything the lock manager's events say from now on; each must have its exact shape. */
export async function followEvents(connection: Connection): Promise<Announced> {
  const changes = new Map<number, LockEvent>();
  const denials: Announced['denials'] = [];
  connection.subscribe('evt.lock.*', {
    callback: (error, message) => {
      if (error !== null) return;
      const event = message.subject.slice('evt.lock.'.length);
      const commandId = message.headers?.get(HEADERS.commandId) ?? '';
      if (event === 'denied') denials.push({ payload: StrictDenied.parse(message.json()), commandId });
      if (!isChange(event)) return;
      const sequence = Number(message.headers?.get('Nats-Sequence'));
      const time = Date.parse(message.headers?.get('Nats-Time-Stamp') ?? '');
      changes.set(sequence, { event, ...readChange(event, message.json()), sequence, time, commandId });
    },
  });
  await connection.flush();
  return {
    denials,
    changes: (resource) =>
      [...changes.values()]
        .filter(({ payload }) => resource === undefined || payload.entity_id === resource)
        .sort((a, b) => a.sequence - b.sequence),
  };
}

function isChange(event: string): event is Change {
  return Object.hasOwn(added, event);
}

function readChange(event: Change, body: object): Pick<LockEvent, 'payload' | 'data'> {
  const schema = added[event];
  const { data, ...payload } = body as { data?: unknown };
  // Only a release by the holder adds nothing where something could be added.
  const hasData = event !== 'released' || data !== undefined;
  if (schema === undefined) expect(data).toBeUndefined();
  return {
    payload: LeasePayload.parse(payload),
    data: schema === undefined || !hasData ? undefined : schema.strict().parse(data),
  };
}

interface Stored {
  message?: { time: string; data: string };
}

/**
 * The end of a lease in the stream, asked of the leader again and again: nobody may lead for the moment, and what is sent
 * while the connection is down waits for its answer in vain.
 */
export function storedExpiry(
  connection: Connection,
  resource: string,
  version: number,
): Promise<{ payload: LeasePayload; time: number }> {
  const request = JSON.stringify({ last_by_subj: entitySubject(LOCKS, resource, 'x', 'expired') });
  return until(`the stream holds the end of ${resource} ${version}`, async () => {
    const answer = await connection
      .request(`$JS.API.STREAM.MSG.GET.${LOCK_STREAM}`, request, { timeout: 1_000 })
      .catch(() => undefined);
    const message = answer?.json<Stored>().message;
    if (message === undefined) return undefined;
    const payload = LeasePayload.parse(JSON.parse(Buffer.from(message.data, 'base64').toString()));
    return payload.entity_version === version ? { payload, time: Date.parse(message.time) } : undefined;
  });
}
