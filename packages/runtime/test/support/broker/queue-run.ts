import { decidedSubject, delayedCommandSubject, HEADERS, queuedCommandSubject } from '@meshforge/protocol';
import { cancelDelayed } from '../../../src/client/cancel.ts';
import { digestOf } from '../../../src/nats/digest.ts';
import { SimulatedTime } from '../simulated-time.ts';
import { SimulatedBroker } from './broker.ts';
import { SimulatedLink, type Kind, type Loss } from './link.ts';
import { QueueHistory, type Sent } from './queue-history.ts';
import { counter, SimulatedReplica } from './queue-replicas.ts';
import { REPLICAS, type Step } from './queue-steps.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
/** How long after something was sent a blow falls at most: on its way there, or on the way back. */
const TRAP_MS = 6;
/** In which everything comes to rest, in milliseconds. */
const REST_MS = 120_000;

interface Data {
  by: number;
  version?: number | undefined;
  laterMs?: number;
  cancelMs?: number | null;
}

/** One history: what is sent and what goes wrong, step by step, until everything has come to rest. */
export class QueueRun {
  readonly #time: SimulatedTime;
  readonly #broker: SimulatedBroker;
  readonly #history: QueueHistory;
  readonly #replicas: SimulatedReplica[] = [];
  readonly #sender: SimulatedLink;
  readonly #timeoutMs: number;
  readonly #faults: unknown[] = [];
  readonly #losses: { what: Kind; loss: Loss; times: number }[] = [];
  readonly #traps: Extract<Step, { kind: 'trap' }>[] = [];
  readonly #later: Sent[] = [];
  readonly #underWay: Promise<void>[] = [];
  #ids = 0;

  constructor(seed: number, isReplicated: boolean, timeoutMs: number) {
    this.#time = new SimulatedTime(NOON, seed);
    this.#broker = new SimulatedBroker(this.#time, counter.name, isReplicated);
    this.#history = new QueueHistory(this.#broker);
    this.#timeoutMs = timeoutMs;
    this.#sender = new SimulatedLink(this.#broker, timeoutMs, (kind) => this.#lossOf(kind));
    for (let i = 0; i < REPLICAS; i++) this.#replicas.push(this.#newReplica(i));
  }

  async play(steps: readonly Step[]): Promise<string[]> {
    const time = this.#time;
    const history = this.#history;
    await time.pass(time.now + 400);
    for (const each of steps) {
      await time.pass(time.now + each.afterMs);
      this.#step(each);
    }
    await time.pass(time.now + 3_000);
    this.#losses.length = 0;
    this.#traps.length = 0;
    if (!(await this.#happens(this.#underWay))) return ['it does not heal'];
    const isLater = (): boolean => this.#later.some(({ commandId }) => this.#isScheduled(commandId));
    await time.pass(time.now + REST_MS, () => history.queued.length === 0 && !isLater());
    // What is told a second time, and what comes late.
    await time.pass(time.now + 12_000);
    if (!(await this.#happens(this.#replicas.map((each) => each.stop())))) return ['it does not stop'];
    return [...history.check(), ...this.#faults.map((error) => `fault: ${String(error)}`)];
  }

  /** Lets time pass until all of it has happened. */
  async #happens(work: readonly Promise<void>[]): Promise<boolean> {
    let isOver = false;
    void Promise.all(work).then(() => (isOver = true));
    await this.#time.pass(this.#time.now + REST_MS, () => isOver);
    return isOver;
  }

  #newReplica(index: number): SimulatedReplica {
    return new SimulatedReplica(this.#broker, {
      timeoutMs: this.#timeoutMs,
      loss: (kind) => {
        this.#spring(kind, index);
        return this.#lossOf(kind);
      },
      witness: {
        tries: (begun) => this.#history.tries(begun),
        told: (telling) => this.#history.told(telling),
        fault: (error) => {
          if (!/dead letter could not be stored|NoAnswerError/.test(String(error))) this.#faults.push(error);
        },
      },
    });
  }

  #spring(kind: Kind, index: number): void {
    const trap = this.#traps.find(({ what }) => what === kind);
    if (trap === undefined) return;
    this.#traps.splice(this.#traps.indexOf(trap), 1);
    const { blow } = trap;
    const at = 'replica' in blow ? { ...blow, replica: index } : blow;
    const time = this.#time;
    this.#underWay.push(time.sleep(time.draw(TRAP_MS)).then(() => this.#step(at)));
  }

  #lossOf(kind: Kind): Loss | undefined {
    const found = this.#losses.find(({ times, what: wanted }) => times > 0 && wanted === kind);
    if (found === undefined) return undefined;
    found.times--;
    return found.loss;
  }

  /** Null: the one that works, as far as it knows. */
  #at(index: number | null): number {
    const active = this.#replicas.findIndex((each) => !each.link.isDead && each.isActive);
    return index ?? Math.max(0, active);
  }

  #step(each: Step): void {
    switch (each.kind) {
      case 'add':
      case 'later':
        return this.#send('add', each.entity, each);
      case 'boom':
      case 'hurry':
      case 'unknown':
        return this.#send(each.kind, each.entity, { by: 1 });
      case 'directly':
        return this.#directly(each.entity, each.by);
      case 'crash':
        return void this.#underWay.push(this.#crash(this.#at(each.replica), each.downMs, each.isNoticed));
      case 'restart':
        return void this.#underWay.push(this.#restart(this.#at(each.replica)));
      case 'freeze':
        return this.#link(each.replica)?.freeze(each.spanMs);
      case 'slow':
        return this.#link(each.replica)?.slow(each.spanMs);
      case 'disconnect':
        return void this.#underWay.push(this.#link(each.replica)?.disconnect(each.spanMs) ?? Promise.resolve());
      case 'lose':
        return void this.#losses.push({ ...each });
      case 'trap':
        return void this.#traps.push(each);
      case 'outage':
        return void this.#underWay.push(this.#broker.goDown(each.spanMs));
      case 'stall':
        return this.#broker[each.stream].stall(each.spanMs);
    }
  }

  #link(index: number | null): SimulatedLink | undefined {
    return this.#replicas[this.#at(index)]?.link;
  }

  #send(action: string, entityId: string, data: Data): void {
    const commandId = `${action}-${++this.#ids}`;
    const sent: Sent = { commandId, entityId, isPoison: action === 'boom' || action === 'unknown' };
    const { cancelMs, laterMs } = data;
    const body = { entity_id: entityId, expected_version: data.version, data: { by: data.by } };
    const target = queuedCommandSubject(counter.name, action);
    const lines: [string, string][] = [
      [HEADERS.commandId, commandId],
      ['Nats-Msg-Id', commandId],
    ];
    if (laterMs !== undefined) {
      const at = new Date(this.#time.now + laterMs).toISOString();
      lines.push(['Nats-Schedule', `@at ${at}`], ['Nats-Schedule-Target', target]);
      this.#later.push(sent);
    }
    const subject = laterMs === undefined ? target : delayedCommandSubject(counter.name, digestOf(commandId));
    this.#history.add(sent);
    const stored = this.#store(subject, new TextEncoder().encode(JSON.stringify(body)), lines);
    const cancelAt = this.#time.now + (laterMs ?? 0) + (cancelMs ?? 0);
    const isCancelled = laterMs !== undefined && typeof cancelMs === 'number';
    // Who cancels what is not stored cannot be told anything that stays true.
    this.#underWay.push(isCancelled ? stored.then(() => this.#cancel(sent, cancelAt)) : stored);
  }

  /** Until it is stored. */
  async #store(subject: string, data: Uint8Array, lines: [string, string][]): Promise<void> {
    for (;;) {
      const ack = this.#broker.isDown ? undefined : await this.#broker.commands.publish(subject, data, lines);
      if (ack !== undefined && 'seq' in ack) return;
      await this.#time.sleep(50);
    }
  }

  /** As others do who need no queue. */
  #directly(entityId: string, amount: number): void {
    const commandId = `directly-${++this.#ids}`;
    const body = new TextEncoder().encode(JSON.stringify({ entity_id: entityId, data: { by: amount } }));
    const headers = { commandId, lines: [[HEADERS.commandId, commandId] as const], issues: [] };
    const { intake } = this.#replicas[this.#ids % REPLICAS] as SimulatedReplica;
    void intake.decideQueued('add', body, headers, () => true, false);
  }

  async #cancel(sent: Sent, at: number): Promise<void> {
    await this.#time.sleep(at - this.#time.now);
    const asking = { requester: this.#sender.requester, clock: this.#sender.clock, timeoutMs: 20_000 };
    try {
      sent.cancelled = await cancelDelayed(asking, counter.name, sent.commandId);
    } catch {
      // Not known.
    }
  }

  #isScheduled(commandId: string): boolean {
    const key = digestOf(commandId);
    const { commands } = this.#broker;
    if (commands.lastOf(decidedSubject(counter.name, key, 'cancelled')) !== undefined) return false;
    return commands.lastOf(delayedCommandSubject(counter.name, key)) !== undefined;
  }

  async #crash(index: number, downMs: number, isNoticed: boolean): Promise<void> {
    const { link } = this.#replicas[index] as SimulatedReplica;
    if (link.isDead) return;
    link.die(isNoticed);
    await this.#time.sleep(downMs);
    this.#replicas[index] = this.#newReplica(index);
  }

  async #restart(index: number): Promise<void> {
    const old = this.#replicas[index] as SimulatedReplica;
    if (old.link.isDead) return;
    this.#replicas[index] = this.#newReplica(index);
    await old.stop();
  }
}
