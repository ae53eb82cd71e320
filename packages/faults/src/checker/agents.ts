/** What the checker must know of each agent, beside its definition, to hold a log against its rules. */
import { inventory } from '@meshforge/inventory';
import { lockManager } from '@meshforge/lock-manager';
import { agentToken, LOCK_LIMITS, type JsonObject, type LockState } from '@meshforge/protocol';
import type { AnyAgent } from '@meshforge/runtime';
import type { Logged, Sent } from '../history.ts';
import { placeOf, placesIn } from './queue.ts';

export interface CheckedAgent {
  readonly agent: AnyAgent;
  /** Its word in subjects, and in the entries of a history. */
  readonly token: string;
  /** Events whose messages do not last: the server rolls them up, or purges them when their lease ends. */
  readonly leaseEvents: ReadonlySet<string>;
  /**
   * When a commit was decided, in milliseconds since the epoch by the server's clock, as its state tells; undefined for
   * rules that never ask for the time.
   * @param data of the command, with the defaults of its schema @param before state of the entity before it
   */
  decidedAt(committed: Logged, data: JsonObject, before: JsonObject | null): number | undefined;
  /** From when on the rules may see an entity with other eyes, in milliseconds since the epoch. */
  turningPoints(state: JsonObject | null, notes: string): readonly number[];
  /**
   * What the agent must have asked of itself, for commits that no client can ask for.
   * @param notes of the entity before it
   */
  ownCommand(committed: Logged, notes: string): Sent | undefined;
}

const checkedInventory: CheckedAgent = {
  agent: inventory,
  token: agentToken(inventory.name),
  leaseEvents: new Set(),
  decidedAt: () => undefined,
  turningPoints: () => [],
  ownCommand: () => undefined,
};

const checkedLocks: CheckedAgent = {
  agent: lockManager,
  token: agentToken(lockManager.name),
  leaseEvents: new Set(['acquired']),
  decidedAt(committed, { ttl_ms: ttlMs }, before) {
    const { agent, event, kind, state } = committed;
    const lock = lockOf(agent, state);
    // A change of the places does not tell.
    if (lock === undefined || kind === 'unchanged') return undefined;
    if (event === 'released') return Date.parse(lock.expires_at);
    if (lock.fencing_token !== lockOf(agent, before)?.fencing_token) return Date.parse(lock.acquired_at);
    return Date.parse(lock.expires_at) - Number(ttlMs);
  },
  turningPoints(state, notes) {
    const lock = state as LockState | null;
    const ends = placesIn(notes).map(({ until }) => until);
    return lock?.owner_id === null ? [Date.parse(lock.expires_at) + LOCK_LIMITS.passOverMs, ...ends] : ends;
  },
  ownCommand(committed, notes) {
    const { agent, commandId, data = {}, entityId, event, state } = committed;
    const { owner_id: owner } = data;
    const own = (action: string, asked: JsonObject): Sent => {
      return { type: 'sent', atMs: 0, client: 'the agent itself', agent, action, commandId, entityId, data: asked };
    };
    if (event === 'queued') {
      const { command = '', since = 0, until = 0 } = placeOf(owner, committed.notes ?? '') ?? {};
      return own('wait', { owner_id: owner, command, since, until });
    }
    if (event === 'left') return own('leave', { owner_id: owner, command: placeOf(owner, notes)?.command ?? '' });
    if (event !== 'released' || data['cause'] !== 'gone') return undefined;
    return own('withdraw', { owner_id: owner, fencing_token: lockOf(agent, state)?.fencing_token });
  },
};

export const CHECKED_AGENTS: readonly CheckedAgent[] = [checkedInventory, checkedLocks];

/** The state of a lock, from a message or an answer of the lock manager; undefined for other agents. */
export function lockOf(token: string, state: unknown): LockState | undefined {
  return token === checkedLocks.token && typeof state === 'object' && state !== null ? (state as LockState) : undefined;
}
