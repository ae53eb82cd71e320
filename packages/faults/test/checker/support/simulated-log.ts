/** The log of an agent as JetStream keeps it: whatever ends a lease, or takes its place, takes its message out. */
import type { JsonObject } from '@meshforge/protocol';
import type { CheckedAgent } from '../../../src/checker/agents.ts';
import type { Ruling } from '../../../src/checker/ruling.ts';
import type { Answer, Logged, NamedLease } from '../../../src/history.ts';

export interface SimulatedEntity {
  version: number;
  state: JsonObject | null;
  notes: string;
  /** The highest token of each resource, as the header has it. */
  fences: string;
  /** Place of the last durable command that was decided. */
  mark: number;
  /** The lease that stands. */
  lease: { entry: Logged; endsAtMs: number } | undefined;
}

interface Place {
  entityId: string;
  commandId: string;
  timeMs: number;
  causedBy?: string;
  lease?: NamedLease | undefined;
  /** Of a durable command. */
  queued?: number;
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
      entity = { version: 0, state: null, notes: '', fences: '', mark: 0, lease: undefined };
      this.entities.set(id, entity);
    }
    return entity;
  }

  commit(at: Place, made: Ruling & { kind: 'commit' }): Logged {
    const { entityId, commandId, causedBy, timeMs } = at;
    const entity = this.entity(entityId);
    const { event, isUnchanged, notes, state, data, version } = made;
    const fences = at.lease === undefined ? entity.fences : raised(entity.fences, at.lease);
    const mark = at.queued ?? entity.mark;
    const standing = isUnchanged ? entity.lease : undefined;
    const entry = this.#append(timeMs, {
      entityId,
      kind: isUnchanged ? 'unchanged' : 'commit',
      event,
      version,
      state,
      ...(data === undefined ? {} : { data }),
      commandId,
      ...(causedBy === undefined ? {} : { causedBy }),
      ...(standing === undefined ? {} : { keeps: `acquired ${version} ${standing.endsAtMs}` }),
      ...(notes === '' ? {} : { notes }),
      ...(fences === '' ? {} : { fences }),
      ...(mark === 0 ? {} : { mark }),
    });
    const isLease = this.agent.leaseEvents.has(event);
    const endsAtMs = isLease ? Date.parse(String(state?.['expires_at'])) : 0;
    const lease = isLease ? { entry, endsAtMs } : standing;
    this.entities.set(entityId, { version, state, notes, fences, mark, lease });
    this.committed.set(commandId, entry);
    return entry;
  }

  /** A durable command is refused, for an entity without a lease. */
  refuse({ commandId, entityId, queued = 0, timeMs }: Place, refusal: Pick<Answer, 'kind' | 'payload'>): void {
    const entity = this.entity(entityId);
    const { fences, version, state } = entity;
    const made = { entityId, kind: 'record', event: 'refused', version, state, refusal, commandId } as const;
    this.#append(timeMs, { ...made, ...(fences === '' ? {} : { fences }), mark: queued });
    this.entities.set(entityId, { ...entity, mark: queued });
  }

  /** The server ends a lease. Of one that is over already it says so in vain. */
  expire(lease: Logged, timeMs: number): Logged {
    const { entityId, version, state, commandId, notes } = lease;
    const copied = { commandId, ...(notes === undefined ? {} : { notes }) };
    const entry = this.#append(timeMs, { entityId, kind: 'expiry', event: 'expired', version, state, ...copied });
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
    if (entry.kind === 'commit' || entry.kind === 'expiry') {
      const isTaken = ({ entityId, event, version }: Logged): boolean =>
        entityId === what.entityId && leaseEvents.has(event) && (entry.kind === 'commit' || version === entry.version);
      this.#kept = this.#kept.filter((kept) => !isTaken(kept));
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
