/** The log of an agent as JetStream keeps it: leases roll up, and whatever ends one takes its message out. */
import type { JsonObject } from '@meshforge/protocol';
import type { CheckedAgent } from '../../../src/checker/agents.ts';
import type { Logged } from '../../../src/history.ts';

export interface SimulatedEntity {
  version: number;
  state: JsonObject | null;
  /** The lease that stands. */
  lease: { entry: Logged; endsAtMs: number } | undefined;
}

export class SimulatedLog {
  readonly agent: CheckedAgent;
  readonly entities = new Map<string, SimulatedEntity>();
  readonly committed = new Map<string, Logged>();
  /** What the stream still holds, oldest first. */
  #kept: Logged[] = [];
  #sequence = 0;

  constructor(agent: CheckedAgent) {
    this.agent = agent;
  }

  entity(id: string): SimulatedEntity {
    let entity = this.entities.get(id);
    if (entity === undefined) {
      entity = { version: 0, state: null, lease: undefined };
      this.entities.set(id, entity);
    }
    return entity;
  }

  commit(
    at: { entityId: string; commandId: string; timeMs: number },
    made: { event: string; state: JsonObject | null; data: JsonObject | undefined },
  ): Logged {
    const { entityId, commandId, timeMs } = at;
    const entity = this.entity(entityId);
    const { event, state, data } = made;
    const version = entity.version + 1;
    const entry = this.#append(timeMs, {
      entityId,
      event,
      version,
      state,
      ...(data === undefined ? {} : { data }),
      commandId,
      byServer: false,
    });
    const isLease = this.agent.leaseEvents.has(event);
    const endsAtMs = isLease ? Date.parse(String(state?.['expires_at'])) : 0;
    this.entities.set(entityId, { version, state, lease: isLease ? { entry, endsAtMs } : undefined });
    this.committed.set(commandId, entry);
    return entry;
  }

  /** The server ends a lease. One that is over already is left as it is. */
  expire(lease: Logged, timeMs: number): Logged {
    const { entityId, version, state, commandId } = lease;
    const entry = this.#append(timeMs, { entityId, event: 'expired', version, state, commandId, byServer: true });
    const entity = this.entity(entityId);
    if (entity.version === version) {
      const ended = state === null ? null : (this.agent.agent.lease?.expire(state) as JsonObject | null);
      this.entities.set(entityId, { version, state: ended, lease: undefined });
    }
    return entry;
  }

  /** The first message behind a sequence that the stream still holds. */
  after(sequence: number): Logged | undefined {
    return this.#kept.find((entry) => entry.sequence > sequence);
  }

  #append(timeMs: number, what: Omit<Logged, 'type' | 'agent' | 'sequence' | 'time'>): Logged {
    const { leaseEvents, token } = this.agent;
    const entry: Logged = {
      type: 'logged',
      agent: token,
      sequence: ++this.#sequence,
      time: new Date(timeMs).toISOString(),
      ...what,
    };
    if (leaseEvents.size > 0) {
      this.#kept = this.#kept.filter((kept) => kept.entityId !== what.entityId || !leaseEvents.has(kept.event));
    }
    this.#kept.push(entry);
    return entry;
  }
}
