import { DeniedPayload, lockContract, LockState, type LockDenial } from '@meshforge/protocol';
import { MeshError } from '../../errors.ts';
import type { Mesh } from '../mesh.ts';
import type { DataOf, RequestOptions } from '../types.ts';
import type { HeldLock } from './types.ts';

/** How often a command that waits is sent again, in milliseconds: the replica that had it may have died. */
const REPEAT_MS = 3_000;
/** So long after the wait, in milliseconds, no copy of the command is decided any more: one could still be on its way. */
const LATE_MS = 1_000;
/** How long giving back is tried, in milliseconds: whatever is not given back comes free by itself. */
const GIVE_BACK_MS = 2_000;
const GIVE_BACK_TRY_MS = 500;

export interface AcquireRequest {
  resource: string;
  ownerId: string;
  ttlMs: number;
  waitMs: number;
  takeUpMs: number | undefined;
}

export type Denied = { kind: 'denied'; denied: DeniedPayload };
/**
 * `durationMs`: how long the lease surely lasts from its grant on; 0 where it may have ended since then.
 * `version`: of the lock with this lease.
 */
export type AcquireReply = { kind: 'granted'; fencingToken: number; durationMs: number; version: number } | Denied;
export type RefreshReply = { kind: 'extended'; version: number } | Denied;

type LockContract = typeof lockContract;

/** The lock after a command that changed it. */
interface Changed {
  state: LockState;
  version: number;
  /** By an earlier copy of the command: the answer may come long after. */
  isReplayed: boolean;
}

/** The lock manager's commands as calls. An outcome that no lock manager gives is thrown as a fault. */
export class LockCommands {
  readonly #mesh: Pick<Mesh, 'request'>;
  /** For one command with all its tries, waiting aside. */
  readonly timeoutMs: number;

  constructor(mesh: Pick<Mesh, 'request'>, timeoutMs: number) {
    this.#mesh = mesh;
    this.timeoutMs = timeoutMs;
  }

  /** @throws MeshError `timeout`, `unavailable`, `rejected`, `protocol` */
  async acquire({ resource, ownerId, ttlMs, waitMs, takeUpMs }: AcquireRequest): Promise<AcquireReply> {
    const data = { owner_id: ownerId, ttl_ms: ttlMs, ...(waitMs > 0 && { wait_ms: waitMs, take_up_ms: takeUpMs }) };
    const reply = await this.#send('acquire', {
      entityId: resource,
      data,
      timeoutMs: waitMs + this.timeoutMs,
      ...(waitMs > 0 && { tryTimeoutMs: REPEAT_MS, notAfterMs: waitMs + LATE_MS }),
    });
    if ('kind' in reply) return reply;
    const { state, version } = reply;
    if (state.owner_id === ownerId) {
      const durationMs = grantedFor(reply, ttlMs);
      return { kind: 'granted', fencingToken: state.fencing_token, durationMs, version };
    }
    throw new MeshError({
      code: 'protocol',
      message: `the lock ${JSON.stringify(resource)} was granted to ${JSON.stringify(state.owner_id)} instead of ${JSON.stringify(ownerId)}`,
    });
  }

  /** @throws MeshError `timeout`, `unavailable`, `rejected`, `protocol` */
  async refresh(lock: HeldLock, ownerId: string, ttlMs: number, timeoutMs: number): Promise<RefreshReply> {
    const data = { owner_id: ownerId, fencing_token: lock.fencingToken, ttl_ms: ttlMs };
    // Half: one try may be lost.
    const reply = await this.#send('refresh', {
      entityId: lock.resource,
      data,
      timeoutMs,
      tryTimeoutMs: Math.min(timeoutMs / 2, GIVE_BACK_MS),
    });
    return 'kind' in reply ? reply : { kind: 'extended', version: reply.version };
  }

  /** Best effort. @param fencingToken undefined: whatever lease the owner has */
  async release(resource: string, ownerId: string, fencingToken: number | undefined): Promise<void> {
    const data = { owner_id: ownerId, ...(fencingToken !== undefined && { fencing_token: fencingToken }) };
    await this.#giveBack('release', resource, data);
  }

  /** Best effort. */
  async cancel(resource: string, ownerId: string): Promise<void> {
    await this.#giveBack('cancel', resource, { owner_id: ownerId });
  }

  async #giveBack(action: 'release' | 'cancel', resource: string, data: { owner_id: string }): Promise<void> {
    const timeoutMs = Math.min(this.timeoutMs, GIVE_BACK_MS);
    try {
      await this.#mesh.request(lockContract, action, {
        entityId: resource,
        data,
        timeoutMs,
        tryTimeoutMs: GIVE_BACK_TRY_MS,
      });
    } catch {
      // Its time will be over soon.
    }
  }

  async #send<A extends 'acquire' | 'refresh'>(
    action: A,
    command: RequestOptions<DataOf<LockContract, A>>,
  ): Promise<Changed | Denied> {
    const outcome = await this.#mesh.request(lockContract, action, command);
    if (outcome.kind === 'committed' || outcome.kind === 'replayed') {
      const state = LockState.safeParse(outcome.payload.state);
      const version = outcome.payload.entity_version;
      if (state.success) return { state: state.data, version, isReplayed: outcome.kind === 'replayed' };
    } else if (outcome.kind === 'denied') {
      const denied = DeniedPayload.safeParse(outcome.payload);
      if (denied.success) return { kind: 'denied', denied: denied.data };
    } else {
      throw new MeshError({
        code: 'rejected',
        message: `${action} of the lock ${JSON.stringify(command.entityId)}: ${outcome.payload.reason}`,
        details: { ...outcome.payload },
      });
    }
    throw new MeshError({
      code: 'protocol',
      message: `the answer to ${action} of the lock ${JSON.stringify(command.entityId)} is none of a lock manager`,
      details: { payload: outcome.payload },
    });
  }
}

/** Both times are of one clock. Of a lease that was only extended, the beginning lies further back. */
function grantedFor({ isReplayed, state }: Changed, ttlMs: number): number {
  return isReplayed ? 0 : Math.min(ttlMs, Date.parse(state.expires_at) - Date.parse(state.acquired_at));
}

/** After these another try may succeed while the wait is not over; the others are final. */
const PASSING: readonly LockDenial[] = ['held', 'not_held', 'not_holder'];

export function mayPass({ code }: DeniedPayload): boolean {
  return PASSING.includes(code);
}
