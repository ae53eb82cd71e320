/**
 * A mesh that behaves, as small as it can be: clients that lose answers, ask again and give up; agents that decide with the
 * real rules; a server that ends leases; subscribers and a witness that lag, lose and repeat. What it leaves behind is a
 * correct history, whatever the seed.
 */
import { eventSubject, type JsonObject } from '@meshforge/protocol';
import { CHECKED_AGENTS } from '../../../src/checker/agents.ts';
import { waitMsOf } from '../../../src/checker/queue.ts';
import { ruling } from '../../../src/checker/ruling.ts';
import type { Answer, Entry, Logged, Sent } from '../../../src/history.ts';
import { anyWish } from './commands.ts';
import { Random } from '../../../src/random.ts';
import { highestIn, SimulatedLog } from './simulated-log.ts';
import { SimulatedEvents } from './simulated-events.ts';
import { SimulatedWitness } from './simulated-witness.ts';
import { SimulatedWaitingRoom } from './waiting-room.ts';

export interface Size {
  commands: number;
  clients: number;
  /** Of each agent. */
  entities: number;
}

/** Server's and clients' clocks have nothing in common. */
const SERVER_START_MS = Date.parse('2026-01-31T12:00:00.000Z');

/** A command under way. */
interface Task {
  sent: Sent;
  client: string;
  copies: number;
  done: boolean;
}

export function simulate(seed: number, size: Size): Entry[] {
  return new SimulatedMesh(seed, size).run();
}

class SimulatedMesh {
  readonly #random: Random;
  readonly #size: Size;
  readonly #entries: Entry[] = [];
  readonly #logs = new Map(CHECKED_AGENTS.map((agent) => [agent.token, new SimulatedLog(agent)]));
  readonly #witnesses: SimulatedWitness[];
  /** Deeds under way; any of them may be next. */
  readonly #underWay: (() => void)[] = [];
  readonly #idle: string[];
  /** By agent and entity: the version that anybody was told of last. */
  readonly #seen = new Map<string, number>();
  readonly #events: SimulatedEvents;
  readonly #room: SimulatedWaitingRoom;
  /** Of the resource that writers name: it grows now and then. */
  #token = 1;
  #now = 0;
  #commands = 0;

  constructor(seed: number, size: Size) {
    this.#random = new Random(seed);
    this.#size = size;
    this.#witnesses = [...this.#logs.values()].map(
      (log) => new SimulatedWitness(log, this.#random, (entry) => this.#entries.push(entry)),
    );
    this.#events = new SimulatedEvents(this.#random, this.#underWay, (heard) => {
      this.#entries.push({ ...heard, atMs: this.#now });
    });
    this.#room = new SimulatedWaitingRoom(this.#logs.get('lock') as SimulatedLog, (entry) =>
      this.#events.announce(entry),
    );
    this.#idle = Array.from({ length: size.clients }, (_, index) => `client-${index + 1}`);
  }

  run(): Entry[] {
    while (this.#commands < this.#size.commands || this.#underWay.length > 0 || !this.#room.isEmpty) {
      this.#now += this.#random.chance(0.05) ? this.#random.int(100, 900) : this.#random.next() * 40;
      if (this.#random.chance(0.02)) this.#goToTheEndOfALease();
      this.#endLeases();
      this.#room.serve(this.#serverNow, () => this.#random.chance(0.5));
      for (const witness of this.#witnesses) witness.look();
      if (this.#commands < this.#size.commands && this.#idle.length > 0 && this.#random.chance(0.5)) this.#send();
      else this.#act();
    }
    for (const witness of this.#witnesses) witness.finish();
    return this.#entries;
  }

  get #serverNow(): number {
    return Math.floor(SERVER_START_MS + this.#now);
  }

  #act(): void {
    const index = this.#random.int(0, this.#underWay.length - 1);
    const [deed] = this.#underWay.splice(index, 1);
    deed?.();
  }

  #send(): void {
    const client = this.#idle.splice(this.#random.int(0, this.#idle.length - 1), 1)[0] as string;
    const wish = anyWish(this.#random, client, this.#size.entities, this.#room.first);
    const sent: Sent = {
      type: 'sent',
      atMs: this.#now,
      client,
      commandId: `c${++this.#commands}`,
      ...wish,
      ...this.#guard(wish.agent, wish.entityId),
      ...this.#lease(wish.agent),
    };
    this.#entries.push(sent);
    const task: Task = { sent, client, copies: 0, done: false };
    this.#sendCopy(task);
  }

  #guard(agent: string, entityId: string): { expectedVersion?: number } {
    if (this.#random.chance(0.5)) return {};
    const seen = this.#seen.get(`${agent} ${entityId}`) ?? 0;
    return { expectedVersion: this.#random.chance(0.8) ? seen : Math.max(0, seen + this.#random.int(-1, 1)) };
  }

  /** Some hold a lease, some did. */
  #lease(agent: string): Pick<Sent, 'lease'> {
    if (agent !== 'inventory' || !this.#random.chance(0.4)) return {};
    if (this.#random.chance(0.2)) this.#token++;
    const token = Math.max(1, this.#token - this.#random.pick([0, 0, 0, 1, 2]));
    return { lease: { resource: this.#random.pick(['dock', 'dock', 'gate']), fencing_token: token } };
  }

  #sendCopy(task: Task): void {
    task.copies++;
    if (!this.#random.chance(0.1)) this.#underWay.push(() => this.#decide(task));
    // The client loses its patience: it asks again, or gives up for good.
    if (this.#random.chance(0.25) || this.#underWay.length === 0) {
      this.#underWay.push(() => {
        if (task.done) return;
        if (task.copies < 4 && this.#random.chance(0.7)) this.#sendCopy(task);
        else this.#tell(task, undefined);
      });
    } else {
      this.#underWay.push(() => this.#waitOrGiveUp(task));
    }
  }

  #waitOrGiveUp(task: Task): void {
    if (task.done) return;
    if (this.#random.chance(0.9) && this.#underWay.length > 0) this.#underWay.push(() => this.#waitOrGiveUp(task));
    else this.#tell(task, undefined);
  }

  /** A copy of the command reaches its agent. */
  #decide(task: Task): void {
    const { sent } = task;
    const log = this.#logs.get(sent.agent) as SimulatedLog;
    const first = log.committed.get(sent.commandId);
    if (first !== undefined) {
      this.#reply(task, success('replayed', first));
      return;
    }
    const entity = log.entity(sent.entityId);
    if (sent.agent === 'lock' && this.#room.has(sent)) return;
    const { action, entityId, lease } = sent;
    if (lease !== undefined && lease.fencing_token < highestIn(entity.fences, lease.resource)) {
      this.#refuse(task, 'rejected', { entity_id: entityId, action, code: 'stale_token', reason: 'it is over' });
      return;
    }
    const current = entity.state === null ? 0 : entity.version;
    if (sent.expectedVersion !== undefined && sent.expectedVersion !== current) {
      this.#refuse(task, 'conflict', {
        entity_id: sent.entityId,
        expected_version: sent.expectedVersion,
        current_version: current,
        reason: 'another version',
        action: sent.action,
      });
      return;
    }
    const { agent } = log.agent;
    const ruled = ruling(agent, entity, sent, this.#serverNow);
    if (ruled.kind === 'malformed') throw new Error(`${sent.action} ${JSON.stringify(sent.data)}: ${ruled.reason}`);
    if (ruled.kind === 'refusal') {
      if (ruled.code === 'held' && waitMsOf(sent) > 0) {
        this.#wait(task);
        return;
      }
      const { code, reason = 'it is so', details } = ruled;
      const isDenial = agent.denied !== undefined && ruled.reason !== undefined;
      const payload = { entity_id: sent.entityId, ...(isDenial ? details : { action: sent.action }), code, reason };
      this.#refuse(task, isDenial ? 'denied' : 'rejected', payload);
      return;
    }
    const entry = log.commit({ entityId, commandId: sent.commandId, timeMs: this.#serverNow, lease }, ruled);
    this.#events.announce(entry);
    // An expiry that was on its way when its lease was released, or refreshed.
    if (entity.lease !== undefined && !ruled.isUnchanged && this.#random.chance(0.1)) {
      this.#sleepUntil(entity.lease.endsAtMs - SERVER_START_MS);
      this.#events.announce(log.expire(entity.lease.entry, this.#serverNow));
    }
    this.#reply(task, success('committed', entry));
  }

  #wait(task: Task): void {
    const { sent } = task;
    const answer = (told: Answer): void => {
      if (task.done) return;
      if (!this.#random.chance(0.1)) this.#tell(task, told);
      // It is lost, which has a cause.
      else this.#entries.push({ type: 'disturbed', fromMs: this.#now, untilMs: this.#now, lane: 'servers' });
    };
    const isAdmitted = this.#room.admit(
      {
        sent,
        until: this.#serverNow + waitMsOf(sent),
        committed: (entry) => {
          if (task.done) this.#room.withdraw(task, entry.state?.['fencing_token'], this.#serverNow);
          answer(success('committed', entry));
        },
        refused: (payload) => {
          this.#events.signal('denied', sent, payload);
          answer({ kind: 'denied', event: eventSubject(sent.agent, 'denied'), payload });
        },
      },
      this.#serverNow,
    );
    if (!isAdmitted) this.#underWay.push(() => this.#decide(task));
  }

  #refuse(task: Task, kind: 'conflict' | 'rejected' | 'denied', payload: JsonObject): void {
    this.#events.signal(kind, task.sent, payload);
    this.#reply(task, { kind, event: eventSubject(task.sent.agent, kind), payload });
  }

  #reply(task: Task, answer: Answer): void {
    if (this.#random.chance(0.15)) return;
    this.#underWay.push(() => {
      if (!task.done) this.#tell(task, answer);
    });
  }

  #tell(task: Task, answer: Answer | undefined): void {
    const { client, copies, sent } = task;
    task.done = true;
    const told = { type: 'told', atMs: this.#now, commandId: sent.commandId, single: copies === 1 } as const;
    this.#entries.push(answer === undefined ? told : { ...told, answer });
    const version = answer?.payload['entity_version'] ?? answer?.payload['current_version'];
    if (typeof version === 'number') this.#seen.set(`${sent.agent} ${sent.entityId}`, version);
    if (!this.#idle.includes(client)) this.#idle.push(client);
    // Somebody wants to know once more what became of it.
    if (answer !== undefined && this.#random.chance(0.05)) this.#askAgain(task);
  }

  #askAgain(task: Task): void {
    const log = this.#logs.get(task.sent.agent) as SimulatedLog;
    if (!log.committed.has(task.sent.commandId)) return;
    this.#now += 0.01;
    this.#entries.push({ ...task.sent, atMs: this.#now });
    this.#sendCopy({ ...task, done: false, copies: task.copies });
  }

  #goToTheEndOfALease(): void {
    const entities = [...this.#logs.values()].flatMap((log) => [...log.entities.values()]);
    const ends = entities.flatMap(({ lease }) => (lease === undefined ? [] : [lease.endsAtMs - SERVER_START_MS]));
    if (ends.length > 0) this.#sleepUntil(this.#random.pick(ends) - this.#random.int(0, 250));
  }

  /** Whoever waits is answered late, for agents were away. */
  #sleepUntil(atMs: number): void {
    const fromMs = this.#now;
    this.#now = Math.max(fromMs, atMs);
    this.#entries.push({ type: 'disturbed', fromMs, untilMs: this.#now, lane: 'agents' });
  }

  #endLeases(): void {
    for (const log of this.#logs.values()) {
      for (const { lease } of log.entities.values()) {
        if (lease === undefined || this.#serverNow < lease.endsAtMs || this.#random.chance(0.3)) continue;
        const expiry = log.expire(lease.entry, this.#serverNow);
        this.#events.announce(expiry);
        if (this.#random.chance(0.05)) this.#events.announce(log.expire(lease.entry, this.#serverNow));
      }
    }
  }
}

function success(kind: 'committed' | 'replayed', entry: Logged): Answer {
  const { agent, entityId, event, version, state, data } = entry;
  return {
    kind,
    event: eventSubject(agent, event),
    payload: { entity_id: entityId, entity_version: version, state, ...(data === undefined ? {} : { data }) },
  };
}
