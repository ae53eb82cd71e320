/**
 * Durable commands of a mesh that behaves: senders that lose acknowledgements, send again, cancel and are told too late; a queue
 * that is executed in order, entity by entity; a reaction that follows. Like `simulate`, a correct history for every seed.
 */
import { eventSubject, type JsonObject } from '@meshforge/protocol';
import { CHECKED_AGENTS, type CheckedAgent } from '../../../src/checker/agents.ts';
import { ruling } from '../../../src/checker/ruling.ts';
import type { Answer, Entry, Logged, Queued, Sent } from '../../../src/history.ts';
import { Random } from '../../../src/random.ts';
import { mirrorOf } from '../../../src/reactor/mirroring.ts';
import { SimulatedEvents } from './simulated-events.ts';
import { SimulatedLog } from './simulated-log.ts';
import { SimulatedWitness } from './simulated-witness.ts';

const SERVER_START_MS = Date.parse('2026-01-31T12:00:00.000Z');
const ENTITIES = ['sent 1', 'sent 2', 'source 1', 'source 2'];

/** A command in the queue. */
interface Stored {
  sent: Sent;
  /** Its place in the queue; a request has none. */
  queued?: number;
  causedBy?: string;
}

export function simulateQueue(seed: number, commands: number): Entry[] {
  return new SimulatedQueue(seed, commands).run();
}

class SimulatedQueue {
  readonly #random: Random;
  readonly #entries: Entry[] = [];
  readonly #log = new SimulatedLog(CHECKED_AGENTS[0] as CheckedAgent);
  readonly #witness: SimulatedWitness;
  readonly #events: SimulatedEvents;
  /** Deeds under way; any of them may be next. */
  readonly #underWay: (() => void)[] = [];
  readonly #queue: Stored[] = [];
  readonly #later = new Map<string, Stored>();
  /** Ids that the server knows. */
  readonly #known = new Set<string>();
  /** Commits that the reaction has not seen. */
  readonly #unseen: Logged[] = [];
  readonly #seen = new Map<string, number>();
  #left: number;
  #places = 0;
  #ids = 0;
  #now = 0;

  constructor(seed: number, commands: number) {
    this.#random = new Random(seed);
    this.#left = commands;
    this.#witness = new SimulatedWitness(this.#log, this.#random, (entry) => this.#entries.push(entry));
    this.#events = new SimulatedEvents(this.#random, this.#underWay, (heard) => {
      this.#entries.push({ ...heard, atMs: this.#now });
    });
    for (const entityId of [...ENTITIES, 'mirror 1', 'mirror 2']) this.#create(entityId);
  }

  run(): Entry[] {
    const isBusy = (): boolean =>
      this.#left > 0 ||
      [this.#underWay, this.#queue, this.#unseen].some(({ length }) => length > 0) ||
      this.#later.size > 0;
    while (isBusy()) {
      this.#now += this.#random.chance(0.05) ? this.#random.int(100, 900) : this.#random.next() * 40;
      this.#moveWhatIsDue();
      this.#witness.look();
      const [deed] = this.#underWay.splice(this.#random.int(0, this.#underWay.length), 1);
      deed?.();
      if (this.#random.chance(0.5)) this.#execute();
      if (this.#random.chance(0.4)) this.#react();
      if (this.#left > 0 && this.#random.chance(0.4)) this.#send();
    }
    this.#witness.finish();
    return this.#entries;
  }

  get #serverNow(): number {
    return Math.floor(SERVER_START_MS + this.#now);
  }

  #create(entityId: string): void {
    const data = { name: 'bolt', quantity: 20 };
    const sent = { ...this.#newCommand('create', entityId), data };
    this.#entries.push(sent);
    this.#commit({ sent });
  }

  #newCommand(action: string, entityId: string): Sent {
    const commandId = `d${++this.#ids}`;
    return { type: 'sent', atMs: this.#now, client: 'ann', agent: 'inventory', action, commandId, entityId, data: {} };
  }

  #send(): void {
    this.#left--;
    const random = this.#random;
    const entityId = random.pick(ENTITIES);
    const order = { order_id: `order-${random.int(1, 3)}` };
    const isSource = mirrorOf(entityId) !== undefined;
    const action = isSource ? 'adjust' : random.pick(['adjust', 'adjust', 'reserve', 'release']);
    const data: Record<string, JsonObject> = {
      // What its mirror cannot follow is not asked of a source.
      adjust: { delta: isSource ? random.int(1, 5) : random.int(1, 9) * random.pick([-1, 1]) },
      reserve: { ...order, quantity: random.int(1, 4) },
      release: order,
    };
    const dueMs = this.#serverNow + random.int(200, 2_000);
    const sent: Sent = {
      ...this.#newCommand(action, entityId),
      data: data[action] ?? {},
      ...(random.chance(0.2) ? { expectedVersion: this.#seen.get(entityId) ?? 1 } : {}),
      durable: random.chance(0.3) ? { dueMs } : {},
    };
    this.#sendCopy(sent);
    if (random.chance(0.2)) this.#underWay.push(() => this.#sendCopy({ ...sent, atMs: this.#now }));
    else if (sent.durable?.dueMs !== undefined && random.chance(0.6)) this.#underWay.push(() => this.#cancel(sent));
  }

  #sendCopy(sent: Sent): void {
    this.#entries.push(sent);
    if (this.#random.chance(0.1)) {
      this.#entries.push({ type: 'told', atMs: this.#now, commandId: sent.commandId, single: false });
      if (this.#random.chance(0.5)) return;
    } else {
      this.#now += 0.01;
      this.#note(sent, 'stored');
    }
    if (this.#known.has(sent.commandId)) return;
    this.#known.add(sent.commandId);
    if (sent.durable?.dueMs === undefined) this.#queue.push({ sent, queued: ++this.#places });
    else this.#later.set(sent.commandId, { sent });
  }

  #cancel(sent: Sent): void {
    const isThere = this.#later.delete(sent.commandId);
    const isUnsure = this.#random.chance(0.1);
    this.#note(sent, isUnsure ? 'unsure' : isThere ? 'cancelled' : 'kept');
  }

  #note({ commandId }: Sent, as: Queued['as']): void {
    // Of what nobody knows to be stored, a cancellation says nothing.
    this.#entries.push({ type: 'queued', atMs: this.#now, commandId, as });
  }

  #moveWhatIsDue(): void {
    for (const [commandId, stored] of this.#later) {
      if (this.#serverNow < (stored.sent.durable?.dueMs ?? 0)) continue;
      this.#later.delete(commandId);
      this.#queue.push({ ...stored, queued: ++this.#places });
    }
  }

  /** The oldest command of any entity. */
  #execute(): void {
    const entityId = this.#queue.length === 0 ? '' : this.#random.pick(this.#queue).sent.entityId;
    const index = this.#queue.findIndex(({ sent }) => sent.entityId === entityId);
    const [stored] = index === -1 ? [] : this.#queue.splice(index, 1);
    if (stored !== undefined) this.#commit(stored);
  }

  #commit(stored: Stored): void {
    const { causedBy, sent } = stored;
    const { action, entityId, expectedVersion } = sent;
    const entity = this.#log.entity(entityId);
    if (expectedVersion !== undefined && expectedVersion !== entity.version) {
      const versions = { expected_version: expectedVersion, current_version: entity.version };
      this.#refuse(stored, 'conflict', { entity_id: entityId, ...versions, reason: 'another version', action });
      return;
    }
    const ruled = ruling(this.#log.agent.agent, entity, sent, this.#serverNow);
    if (ruled.kind === 'malformed') throw new Error(`${action}: ${ruled.reason}`);
    if (ruled.kind === 'refusal') {
      const { code, reason = 'it is so' } = ruled;
      this.#refuse(stored, 'rejected', { entity_id: entityId, action, code, reason });
      return;
    }
    const at = { ...this.#placeOf(stored), ...(causedBy === undefined ? {} : { causedBy }) };
    const entry = this.#log.commit(at, ruled);
    this.#events.announce(entry);
    const { data, event, state, version } = entry;
    if (causedBy !== undefined) return;
    if (event === 'adjusted' && mirrorOf(entityId) !== undefined) this.#unseen.push(entry);
    const payload = { entity_id: entityId, entity_version: version, state, ...(data === undefined ? {} : { data }) };
    this.#tell(sent, { kind: 'committed', event: eventSubject('inventory', event), payload });
  }

  #placeOf({ queued, sent: { commandId, entityId } }: Stored): Parameters<SimulatedLog['commit']>[0] {
    return { entityId, commandId, timeMs: this.#serverNow, ...(queued === undefined ? {} : { queued }) };
  }

  #refuse(stored: Stored, kind: 'conflict' | 'rejected', payload: JsonObject): void {
    const { sent } = stored;
    this.#log.refuse(this.#placeOf(stored), { kind, payload });
    this.#events.signal(kind, sent, payload);
    this.#tell(sent, { kind, event: eventSubject('inventory', kind), payload });
  }

  #tell({ commandId, entityId }: Sent, answer: Answer): void {
    if (this.#random.chance(0.2)) return;
    this.#underWay.push(() => {
      this.#entries.push({ type: 'told', atMs: this.#now, commandId, single: false, answer });
      const version = answer.payload['entity_version'] ?? answer.payload['current_version'];
      if (typeof version === 'number') this.#seen.set(entityId, version);
    });
  }

  /** What an agent commits leads to a command for another entity. */
  #react(): void {
    const event = this.#unseen.shift();
    if (event === undefined) return;
    const { commandId: causedBy, data = {}, entityId } = event;
    const sent = { ...this.#newCommand('adjust', mirrorOf(entityId) ?? ''), data };
    this.#queue.push({ sent, causedBy, queued: ++this.#places });
  }
}
