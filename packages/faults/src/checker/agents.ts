/** What the checker must know of each agent, beside its definition, to hold a log against its rules. */
import { inventory } from '@meshforge/inventory';
import { lockManager } from '@meshforge/lock-manager';
import { agentToken, LOCK_LIMITS, type JsonObject, type LockState } from '@meshforge/protocol';
import type { AnyAgent } from '@meshforge/runtime';
import type { Logged } from '../history.ts';

export interface CheckedAgent {
  readonly agent: AnyAgent;
  /** Its word in subjects, and in the entries of a history. */
  readonly token: string;
  /** Events whose messages do not last: the server rolls them up, or purges them when their lease ends. */
  readonly leaseEvents: ReadonlySet<string>;
  /**
   * When a commit was decided, in milliseconds since the epoch by the server's clock, as its state tells; undefined for
   * rules that never ask for the time.
   * @param data of the command, with the defaults of its schema
   */
  decidedAt(committed: Logged, data: JsonObject): number | undefined;
  /** From when on the rules may see this state with other eyes, in milliseconds since the epoch. */
  turningPoints(state: JsonObject | null): readonly number[];
}

const checkedInventory: CheckedAgent = {
  agent: inventory,
  token: agentToken(inventory.name),
  leaseEvents: new Set(),
  decidedAt: () => undefined,
  turningPoints: () => [],
};

const checkedLocks: CheckedAgent = {
  agent: lockManager,
  token: agentToken(lockManager.name),
  leaseEvents: new Set(['acquired']),
  decidedAt({ agent, event, state, version }, { ttl_ms: ttlMs }) {
    const lock = lockOf(agent, state);
    if (lock === undefined) return undefined;
    if (event === 'released') return Date.parse(lock.expires_at);
    if (lock.fencing_token === version) return Date.parse(lock.acquired_at);
    return Date.parse(lock.expires_at) - Number(ttlMs);
  },
  turningPoints(state) {
    const lock = state as LockState | null;
    return lock === null || lock.owner_id === null ? [] : [Date.parse(lock.expires_at) - LOCK_LIMITS.guardMs];
  },
};

export const CHECKED_AGENTS: readonly CheckedAgent[] = [checkedInventory, checkedLocks];

/** The state of a lock, from a message or an answer of the lock manager; undefined for other agents. */
export function lockOf(token: string, state: unknown): LockState | undefined {
  return token === checkedLocks.token && typeof state === 'object' && state !== null ? (state as LockState) : undefined;
}
