/** The log of an agent as JetStream keeps it: leases roll up, and whatever ends one takes its message out. */
import type { JsonObject } from '@meshforge/protocol';
import type { CheckedAgent } from '../../../src/checker/agents.ts';
import type { Ruling } from '../../../src/checker/ruling.ts';
import type { Logged, NamedLease } from '../../../src/history.ts';

export interface SimulatedEntity {
  version: number;
  state: JsonObject | null;
  notes: string;
  /** The highest token of each resource, as the header has it. */
  fences: string;
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
      entity = { version: 0, state: null, notes: '', fences: '', lease: undefined };
      this.entities.set(id, entity);
    }
    return entity;
  }

  commit(
    at: { entityId: string; commandId: string; timeMs: number; causedBy?: string; lease?: NamedLease | undefined },
    made: Ruling & { kind: 'commit' },
  ): Logged {
    const { entityId, commandId, causedBy, timeMs } = at;
    const entity = this.entity(entityId);
    const { aside, event, notes, state, data, version } = made;
    const fences = at.lease === undefined ? entity.fences : raised(entity.fences, at.lease);
    const standing = aside === undefined ? undefined : entity.lease;
    const entry = this.#append(timeMs, {
      entityId,
      event,
      version,
      state,
      ...(data === undefined ? {} : { data }),
      commandId,
      ...(causedBy === undefined ? {} : { causedBy }),
      byServer: false,
      ...(aside === undefined ? {} : { aside }),
      ...(standing === undefined ? {} : { keeps: `acquired ${version} ${standing.endsAtMs}` }),
      ...(notes === '' ? {} : { notes }),
      ...(fences === '' ? {} : { fences }),
    });
    const isLease = this.agent.leaseEvents.has(event);
    const endsAtMs = isLease ? Date.parse(String(state?.['expires_at'])) : 0;
    this.entities.set(entityId, { version, state, notes, fences, lease: isLease ? { entry, endsAtMs } : standing });
    this.committed.set(commandId, entry);
    return entry;
  }

  /** The server ends a lease. One that is over already is left as it is. */
  expire(lease: Logged, timeMs: number): Logged {
    const { entityId, version, state, commandId, notes } = lease;
    const copied = { commandId, byServer: true, ...(notes === undefined ? {} : { notes }) };
    const entry = this.#append(timeMs, { entityId, event: 'expired', version, state, ...copied });
    const entity = this.entity(entityId);
    if (entity.version === version) {
      const ended = state === null ? null : (this.agent.agent.lease?.expire(state) as JsonObject | null);
      this.entities.set(entityId, { ...entity, state: ended, lease: undefined });
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
    if (leaseEvents.size > 0 && entry.aside === undefined) {
      this.#kept = this.#kept.filter((kept) => kept.entityId !== what.entityId || !leaseEvents.has(kept.event));
    }
    this.#kept.push(entry);
    return entry;
  }
}

/** The highest token that an entity remembers of a resource; 0 = none. */
export function highestIn(fences: string, resource: string): number {
  const entry = fences.split(' ').find((one) => one.startsWith(`${resource}.`));
  return entry === undefined ? 0 : parseInt(entry.slice(resource.length + 1), 36);
}

function raised(fences: string, { resource, fencing_token: token }: NamedLease): string {
  const own = `${resource}.${Math.max(token, highestIn(fences, resource)).toString(36)}`;
  const entries = fences === '' ? [] : fences.split(' ');
  const isKnown = entries.some((one) => one.startsWith(`${resource}.`));
  return (isKnown ? entries.map((one) => (one.startsWith(`${resource}.`) ? own : one)) : [...entries, own]).join(' ');
}
