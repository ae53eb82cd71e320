import type { AgentContract, JsonObject } from '@meshforge/protocol';
import { MeshError, type Lease } from '@meshforge/runtime';
import { Mesh } from '@meshforge/runtime/simulation';
import type { SimulatedConnection } from '@meshforge/simulated-nats';
import { AGENTS, type AgentName } from './agents.ts';
import { GARBAGE } from './garbage.ts';
import type { Place, Program } from './host.ts';
import type { CommandRecord, GarbageRecord, LockRecord, ReadRecord, Told } from './records.ts';
import type { Deed } from './script.ts';

/** Everything that clients leave to be judged. */
export interface Desk {
  commands: CommandRecord[];
  locks: LockRecord[];
  reads: ReadRecord[];
  garbage: GarbageRecord[];
  breaks: { lock: string; at: number }[];
  /** Leases that somebody believes in. */
  leases: Set<{ lock: string; lease: Lease; client: number }>;
  now: () => number;
}

type Of<Kind extends Deed['kind']> = Extract<Deed, { kind: Kind }>;

const OUTCOME_MS = 60_000;

/** One client, with what it has seen. */
export class Client {
  readonly index: number;
  readonly #desk: Desk;
  readonly #seen = new Map<string, number>();
  readonly #held = new Map<string, Lease>();
  #mesh: Mesh | undefined;
  #connection: SimulatedConnection | undefined;
  #ids = 0;
  #waiting: (() => void)[] = [];

  constructor(index: number, desk: Desk) {
    this.index = index;
    this.#desk = desk;
  }

  /** Begins in a new process. What was under way in the one before has nobody who waits for it. */
  async begin(place: Place): Promise<Program> {
    this.#orphan();
    this.#connection = undefined;
    const connection = await place.connect();
    const mesh = new Mesh(connection, {}, place.process.clock);
    this.#mesh = mesh;
    this.#connection = connection;
    for (const go of this.#waiting.splice(0)) go();
    return { stop: () => mesh.close(), isReady: () => connection.isConnected };
  }

  /** Does something; what comes of it stands on the desk. */
  async do(deed: Deed): Promise<void> {
    if (this.#connection === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    switch (deed.kind) {
      case 'request':
        return await this.#request(deed);
      case 'close':
        return await this.#run(this.#record('stock', 'close', deed.entity, {}));
      case 'repeat':
        return await this.#repeat(deed);
      case 'send':
        return await this.#send(deed);
      case 'sendBoom': {
        const record = this.#record('stock', 'boom', deed.entity, {});
        return await this.#sendRecord(record);
      }
      case 'update':
        return await this.#update(deed);
      case 'lock':
        return await this.#lock(deed);
      case 'lockCommand':
        return await this.#lockCommand(deed);
      case 'break': {
        this.#desk.breaks.push({ lock: deed.lock, at: this.#desk.now() });
        return await this.#run(this.#record('lock', 'break', deed.lock, { reason: 'an operator breaks it' }));
      }
      case 'garbage':
        return await this.#garbage(deed);
      case 'read':
        return await this.#read(deed);
    }
  }

  #mine(): Mesh {
    return this.#mesh as Mesh;
  }

  #orphan(): void {
    const { commands, garbage, leases, locks } = this.#desk;
    for (const { waiting } of commands) waiting.delete(this.index);
    for (const each of locks) if (each.client === this.index) each.isOrphan = true;
    for (const each of garbage) each.isSettled = true;
    for (const each of leases) if (each.client === this.index) leases.delete(each);
    this.#held.clear();
  }

  #record(agent: AgentName, action: string, entity: string, data: JsonObject): CommandRecord {
    const record: CommandRecord = {
      id: `c${this.index}-${action}-${++this.#ids}`,
      agent,
      action,
      entity,
      data,
      expectedVersion: undefined,
      lease: undefined,
      deadlineMs: undefined,
      client: this.index,
      sentAt: this.#desk.now(),
      isRequested: false,
      isDurable: false,
      afterMs: 0,
      storedAt: undefined,
      cancelled: undefined,
      told: [],
      waiting: new Set([this.index]),
      isUpdate: false,
    };
    this.#desk.commands.push(record);
    return record;
  }

  async #request({ by, deadlineMs, entity, expectsOff, lock }: Of<'request'>): Promise<void> {
    const record = this.#record('stock', 'add', entity, { by });
    record.deadlineMs = deadlineMs;
    if (expectsOff !== undefined) record.expectedVersion = Math.max(0, (this.#seen.get(entity) ?? 0) + expectsOff);
    const lease = lock === undefined ? undefined : this.#held.get(lock);
    if (lease !== undefined) record.lease = { resource: lease.resource, fencingToken: lease.fencingToken };
    await this.#run(record);
  }

  /** Requests a command, and notes what it is told. */
  async #run(record: CommandRecord, timing: { timeoutMs?: number; tryTimeoutMs?: number } = {}): Promise<void> {
    record.isRequested = true;
    record.waiting.add(this.index);
    try {
      const outcome = await this.#mine().request(contractOf(record), record.action as never, {
        ...optionsOf(record),
        ...timing,
      });
      this.#tell(record, outcome as never, 'request');
    } catch (error) {
      this.#fail(record, error, 'request');
    }
    record.waiting.delete(this.index);
  }

  async #repeat({ isDurable, which }: Of<'repeat'>): Promise<void> {
    const record = this.#desk.commands.filter(({ agent, isUpdate }) => agent === 'stock' && !isUpdate).at(-1 - which);
    if (record === undefined || record.action === 'boom') return;
    if (isDurable) await this.#sendRecord(record);
    else await this.#run(record);
  }

  async #send({ afterMs, by, cancelAfterMs, deadlineMs, entity }: Of<'send'>): Promise<void> {
    const record = this.#record('stock', 'add', entity, { by });
    record.afterMs = afterMs;
    record.deadlineMs = deadlineMs;
    const sent = this.#sendRecord(record);
    if (cancelAfterMs !== undefined) await this.#cancelLater(record, cancelAfterMs);
    await sent;
  }

  async #cancelLater(record: CommandRecord, afterMs: number): Promise<void> {
    const mesh = this.#mine();
    await new Promise((resolve) => {
      setTimeout(resolve, afterMs);
    });
    // Who cancels what is not stored is told nothing that stays true.
    if (record.storedAt === undefined) return;
    try {
      record.cancelled = await mesh.cancel(contractOf(record), { entityId: record.entity, commandId: record.id });
    } catch {
      // Not known.
    }
  }

  async #sendRecord(record: CommandRecord): Promise<void> {
    record.isDurable = true;
    record.waiting.add(this.index);
    try {
      const timing = record.afterMs === 0 ? {} : { afterMs: record.afterMs };
      const sent = await this.#mine().send(contractOf(record), record.action as never, {
        ...optionsOf(record),
        ...timing,
      });
      record.storedAt ??= this.#desk.now();
      // Its outcome may never be told; nobody waits for it here.
      sent.outcome({ timeoutMs: OUTCOME_MS }).then(
        (outcome) => this.#tell(record, outcome as never, 'durable'),
        () => {},
      );
    } catch (error) {
      this.#fail(record, error, 'durable');
    }
    record.waiting.delete(this.index);
  }

  async #update({ by, entity }: Of<'update'>): Promise<void> {
    const record = this.#record('stock', 'add', entity, { by });
    record.isRequested = true;
    record.isUpdate = true;
    try {
      const outcome = await this.#mine().update(AGENTS.stock, entity, (state) => ({
        action: 'add',
        data: { by: Math.max(by, -(state?.total ?? 0)) },
      }));
      // It has ids of its own for each try: only what it says counts.
      if (outcome !== undefined) record.id = (outcome as { commandId: string }).commandId;
      if (outcome !== undefined) this.#tell(record, outcome as never, 'request');
    } catch (error) {
      record.id = `${record.id}-unknown`;
      this.#fail(record, error, 'request');
    }
    record.waiting.delete(this.index);
  }

  async #lock({ holdMs, lock, ttlMs, waitMs, writes }: Of<'lock'>): Promise<void> {
    const { leases, locks, now } = this.#desk;
    const record: LockRecord = {
      client: this.index,
      lock,
      startedAt: now(),
      waitMs,
      token: undefined,
      grantedAt: undefined,
      endedAt: undefined,
      how: undefined,
      why: '',
      isOrphan: false,
    };
    locks.push(record);
    const mesh = this.#mine();
    let entry: { lock: string; lease: Lease; client: number } | undefined;
    try {
      await mesh.lock(lock, { ttlMs, waitMs }, async (lease) => {
        record.token = lease.fencingToken;
        record.grantedAt = now();
        entry = { lock, lease, client: this.index };
        leases.add(entry);
        this.#held.set(lock, lease);
        await new Promise((resolve) => {
          setTimeout(resolve, holdMs);
        });
        if (!writes) return;
        const write = this.#record('stock', 'add', 'a', { by: 1 });
        write.lease = { resource: lease.resource, fencingToken: lease.fencingToken };
        await this.#run(write);
      });
      record.how = 'done';
    } catch (error) {
      record.why = String(error);
      const code = error instanceof MeshError ? error.code : '';
      record.how = code === 'lock_denied' ? 'denied' : code === 'lease_lost' ? 'lost' : 'failed';
    }
    if (entry !== undefined) leases.delete(entry);
    this.#held.delete(lock);
    record.endedAt = now();
  }

  async #lockCommand({ action, isDurable, lock, owner, ttlMs, waitMs }: Of<'lockCommand'>): Promise<void> {
    const data: JsonObject = { owner_id: owner };
    if (action === 'acquire' || action === 'refresh') data['ttl_ms'] = ttlMs;
    if (waitMs > 0) data['wait_ms'] = waitMs;
    const record = this.#record('lock', action, lock, data);
    if (isDurable) return await this.#sendRecord(record);
    const patience = waitMs > 0 ? { timeoutMs: waitMs + 12_000, tryTimeoutMs: 3_000 } : {};
    await this.#run(record, patience);
  }

  async #garbage({ shape }: Of<'garbage'>): Promise<void> {
    const found = GARBAGE[shape % GARBAGE.length];
    const connection = this.#connection;
    if (found === undefined || connection === undefined) return;
    const { expects, name } = found;
    const record: GarbageRecord = { at: this.#desk.now(), shape: name, expects, answer: undefined, isSettled: false };
    this.#desk.garbage.push(record);
    try {
      record.answer = await found.send(connection);
    } catch {
      // No answer.
    }
    record.isSettled = true;
  }

  async #read({ entity, what }: Of<'read'>): Promise<void> {
    const record: ReadRecord = { at: this.#desk.now(), entity, what, found: [] };
    const mesh = this.#mine();
    try {
      if (what === 'get') {
        const found = await mesh.get(stockContract, entity);
        if (found !== undefined) record.found.push({ entity, version: found.entity_version, state: found.state });
      } else if (what === 'list') {
        const { entities } = await mesh.list(stockContract);
        for (const each of entities) {
          record.found.push({ entity: each.entity_id, version: each.entity_version, state: each.state });
        }
      } else {
        const { events } = await mesh.history(stockContract, entity);
        for (const each of events) record.found.push({ entity, version: each.entity_version, state: each.state });
      }
    } catch {
      return;
    }
    this.#desk.reads.push(record);
  }

  #tell(
    record: CommandRecord,
    outcome: { kind: string; replayed?: boolean; payload: Record<string, unknown> },
    via: Told['via'],
  ): void {
    const { kind, payload, replayed } = outcome;
    const isCommitted = kind === 'committed' || kind === 'replayed';
    const version = payload['entity_version'];
    if (isCommitted && typeof version === 'number') this.#seen.set(record.entity, version);
    if (kind === 'conflict') this.#seen.set(record.entity, Number(payload['current_version'] ?? 0));
    record.told.push({
      at: this.#desk.now(),
      kind: isCommitted ? 'committed' : (kind as Told['kind']),
      code: textOf(payload['code']),
      reason: textOf(payload['reason']),
      version: typeof version === 'number' ? version : undefined,
      state: payload['state'],
      isReplayed: kind === 'replayed' || replayed === true,
      via,
    });
  }

  #fail(record: CommandRecord, error: unknown, via: Told['via']): void {
    const code = error instanceof MeshError ? error.code : 'no MeshError';
    const at = this.#desk.now();
    record.told.push({
      at,
      kind: 'failed',
      code,
      reason: String(error),
      version: undefined,
      state: undefined,
      isReplayed: false,
      via,
    });
  }
}

const stockContract = AGENTS.stock as unknown as AgentContract;

function contractOf({ agent }: CommandRecord): AgentContract {
  return AGENTS[agent];
}

function optionsOf({ data, deadlineMs, entity, expectedVersion, id, lease }: CommandRecord) {
  return {
    entityId: entity,
    commandId: id,
    data: data as never,
    ...(expectedVersion === undefined ? {} : { expectedVersion }),
    ...(lease === undefined ? {} : { lease }),
    ...(deadlineMs === undefined ? {} : { notAfterMs: deadlineMs }),
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
