import { commandStream, DEAD_LETTERS_STREAM, entityStream } from '@meshforge/protocol';
import type { SimulatedNats, Consumer, Stream, StreamBackup } from '@meshforge/simulated-nats';
import { AGENTS, type AgentName } from './agents.ts';
import { Client, type Desk } from './client.ts';
import { Host } from './host.ts';
import { REACTION, runAgent, runReactor, type ProgramOptions } from './programs.ts';
import type { HistoryRecord, Left } from './records.ts';
import { isDeed, isRuin, type Fault, type Script, type Step, type StreamName, type Target } from './script.ts';
import { Witness } from './witness.ts';

const STREAMS: Readonly<Record<StreamName, string>> = {
  stock: entityStream('stock'),
  stockQueue: commandStream('stock'),
  journal: entityStream('journal'),
  journalQueue: commandStream('journal'),
  lock: entityStream('sys_lock_manager'),
  lockQueue: commandStream('sys_lock_manager'),
  deadLetters: DEAD_LETTERS_STREAM,
};

/** Before the first step, so that everything has started, in milliseconds. */
const START_MS = 1_500;
/** How long a history may take to come to rest, in milliseconds. */
const REST_MS = 60_000;
/** Between two looks at whether it has. */
const LOOK_MS = 100;
/** After that, what might still come is waited for. */
const AFTERMATH_MS = 3_000;

/** One history: the mesh, and what is done to it. */
export class World {
  readonly nats: SimulatedNats;
  readonly #script: Script;
  readonly #witness: Witness;
  readonly #agents = new Map<AgentName, Host[]>();
  readonly #reactors: Host[];
  readonly #clients: { client: Client; host: Host }[];
  readonly #desk: Desk;
  readonly #beliefs: string[] = [];
  readonly #unrest: string[] = [];
  readonly #errors: string[] = [];
  readonly #backups = new Map<Step, StreamBackup | undefined>();
  #faultsUntil = 0;

  constructor(script: Script, nats: SimulatedNats) {
    this.#script = script;
    const { cast } = script;
    this.nats = nats;
    this.#witness = new Witness(this.nats);
    this.#desk = {
      commands: [],
      locks: [],
      reads: [],
      garbage: [],
      breaks: [],
      leases: new Set(),
      now: () => this.nats.time.now,
    };
    this.#witness.onStored = ({ body, stream, subject }) => {
      if (stream === STREAMS.lock) this.#believe(subject, body);
    };
    const options: ProgramOptions = {
      streamReplicas: cast.nodes,
      onError: (text) => {
        if (this.#errors.length < 50) this.#errors.push(`${Math.round(this.#elapsed)} ms ${text}`);
      },
    };
    for (const role of ['stock', 'journal', 'lock'] as const) {
      const hosts = Array.from(
        { length: cast[role] },
        (_, at) => new Host(this.nats, `${role}-${at}`, (place) => runAgent(AGENTS[role], place, options)),
      );
      this.#agents.set(role, hosts);
    }
    this.#reactors = Array.from(
      { length: cast.reactors },
      (_, at) => new Host(this.nats, `reactor-${at}`, (place) => runReactor(place, options)),
    );
    this.#clients = Array.from({ length: cast.clients }, (_, at) => {
      const client = new Client(at, this.#desk);
      return { client, host: new Host(this.nats, `client-${at}`, (place) => client.begin(place)) };
    });
  }

  /** What the programs have logged as errors. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  async run(): Promise<HistoryRecord> {
    const { time } = this.nats;
    const began = time.now;
    await time.pass(began + 20_000, () => this.#isStarted());
    if (!this.#isStarted()) this.#unrest.push(`the mesh does not start: ${this.#whyNot()}`);
    const first = Math.max(time.now, began + START_MS);
    for (const step of this.#script.steps) this.#plan(step, first);
    const last = this.#script.steps.at(-1)?.at ?? 0;
    await time.pass(Math.max(first + last, this.#faultsUntil) + 1);
    this.#heal();
    const calmFrom = time.now;
    await this.#rest(calmFrom + REST_MS);
    const calmAfterMs = time.now - calmFrom;
    await time.pass(time.now + AFTERMATH_MS);
    return this.#record(calmAfterMs);
  }

  get #elapsed(): number {
    return this.nats.time.now - Date.UTC(2026, 0, 1);
  }

  get #hosts(): Host[] {
    return [...this.#agents.values(), this.#reactors, this.#clients.map(({ host }) => host)].flat();
  }

  #isStarted(): boolean {
    return this.#hosts.every((host) => host.isReady);
  }

  #whyNot(): string {
    return this.#hosts.flatMap((host) => (host.isReady ? [] : [`${host.name} ${host.whyNot}`])).join('; ');
  }

  #plan(step: Step, first: number): void {
    const { time } = this.nats;
    if (step.kind === 'restoreStream') {
      time.at(first + Math.max(0, step.at - step.backupAgoMs), () => {
        this.#backups.set(step, this.nats.jetstream.backup(STREAMS[step.stream]));
      });
    }
    if (!isDeed(step)) this.#faultsUntil = Math.max(this.#faultsUntil, first + step.at + spanOf(step));
    time.at(first + step.at, () => this.#take(step));
  }

  #take(step: Step): void {
    if (!isDeed(step)) return this.#harm(step);
    const { client, host } = this.#clients[step.client % this.#clients.length] as { client: Client; host: Host };
    host.process.enter(() => {
      client.do(step).catch((error: unknown) => {
        this.#unrest.push(`${step.kind} of client ${step.client}: ${String(error)}`);
      });
    });
  }

  #harm(step: Step & Fault): void {
    const stream = 'stream' in step ? this.nats.jetstream.streams.get(STREAMS[step.stream]) : undefined;
    const host = 'target' in step ? this.#target(step.target) : undefined;
    switch (step.kind) {
      case 'kill':
        if (step.target.role === 'client') this.#forgetDeeds(host);
        return host?.kill(step.downMs, step.unnoticedMs);
      case 'restart':
        // A client that ends does so by its own will: what it waits for it does not want any more.
        return step.target.role === 'client' ? undefined : host?.restart();
      case 'freeze':
        return host?.freeze(step.ms);
      case 'slow':
        return host?.slow(step.ms, step.extraMs);
      case 'disconnect':
        return host?.disconnect(step.loses, step.unnoticedMs);
      case 'disturb':
        return host?.disturbances.add(step);
      case 'jump':
        return host?.jump(step.ms);
      case 'stopNode': {
        const node = this.nats.nodes[step.node % this.nats.nodes.length];
        return node === undefined ? undefined : this.nats.stopNode(node, step.downMs);
      }
      case 'changeLeader':
        return stream === undefined ? undefined : this.nats.changeLeader(stream, step.gapMs, step.deposedMs);
      case 'stall':
        return stream?.replication.stall(step.ms);
      case 'lag':
        return stream?.lag.hold(step.node, step.ms);
      case 'holdSchedules':
        return stream?.holdSchedules(step.ms);
      case 'changeConsumerLeader':
        for (const consumer of consumersOf(stream)) consumer.changeLeader(step.gapMs);
        return;
      case 'redeliver':
        for (const consumer of consumersOf(stream)) consumer.redeliver();
        return;
      case 'deleteStream':
        return this.#deleteStream(stream, step.recreates);
      case 'restoreStream': {
        const backup = this.#backups.get(step);
        if (stream === undefined || backup === undefined) return;
        this.nats.jetstream.deleteStream(stream.name);
        this.nats.jetstream.restore(backup);
        return;
      }
      case 'deleteConsumer':
        for (const { name } of consumersOf(stream)) this.nats.jetstream.deleteConsumer(stream?.name ?? '', name);
        return;
      case 'purgeEntity':
        this.nats.jetstream.streams
          .get(STREAMS[step.agent])
          ?.purge({ filter: `ent.${step.agent}.${step.entity}.>` }, () => {});
    }
  }

  #deleteStream(stream: Stream | undefined, recreates: boolean): void {
    if (stream === undefined) return;
    const { settings } = stream;
    this.nats.jetstream.deleteStream(stream.name);
    if (recreates) this.nats.jetstream.createStream({ ...settings, first_seq: Math.floor(this.nats.time.now * 1_000) });
  }

  #target({ at, role }: Target): Host | undefined {
    if (role === 'client') return this.#clients[at % this.#clients.length]?.host;
    const hosts = role === 'reactor' ? this.#reactors : (this.#agents.get(role) ?? []);
    return hosts[at % Math.max(1, hosts.length)];
  }

  /** Nobody waits for what a dead client had begun. */
  #forgetDeeds(host: Host | undefined): void {
    const found = this.#clients.find((each) => each.host === host);
    if (found === undefined) return;
    const { index } = found.client;
    for (const { waiting } of this.#desk.commands) waiting.delete(index);
    for (const each of this.#desk.locks) if (each.client === index) each.isOrphan = true;
    for (const each of this.#desk.leases) if (each.client === index) this.#desk.leases.delete(each);
    for (const each of this.#desk.garbage) each.isSettled = true;
  }

  #heal(): void {
    for (const host of this.#hosts) host.heal();
  }

  async #rest(until: number): Promise<void> {
    const { time } = this.nats;
    while (time.now < until) {
      await time.pass(time.now + LOOK_MS);
      if (this.#whatIsOpen().length === 0) return;
    }
    if (!this.#script.steps.some(isRuin)) this.#unrest.push(...this.#whatIsOpen().map((what) => `at the end: ${what}`));
  }

  /** What has not come to its end. */
  #whatIsOpen(): string[] {
    const { time } = this.nats;
    const open: string[] = [];
    for (const host of this.#hosts) if (!host.isReady) open.push(`${host.name} is not ready ${host.whyNot}`);
    for (const { id, waiting } of this.#desk.commands) if (waiting.size > 0) open.push(`nobody has answered ${id}`);
    for (const { client, isOrphan, how, lock } of this.#desk.locks) {
      if (how === undefined && !isOrphan) open.push(`client ${client} is not done with the lock ${lock}`);
    }
    for (const { dueAt, stream, subject } of this.#left()) {
      // Who sends with a wrong clock may have named a time that is far off.
      if (dueAt <= time.now) open.push(`${stream} holds ${subject}`);
    }
    const reaction = this.nats.jetstream.consumer(STREAMS.stock, `react_${REACTION}`);
    const { num_ack_pending: taken = 0, num_pending: coming = 0 } = (reaction?.info ?? {}) as Record<string, number>;
    if (taken + coming > 0) open.push(`the reaction has ${taken} events in hand, and ${coming} before it`);
    return open;
  }

  #left(): Left[] {
    const queues = [STREAMS.stockQueue, STREAMS.journalQueue, STREAMS.lockQueue];
    return queues.flatMap((name) => {
      const messages = [...(this.nats.jetstream.streams.get(name)?.store.all() ?? [])];
      return messages
        .filter(({ headers, subject }) => {
          // The note that a command was cancelled, and the schedule that it took away.
          const isNote = headers?.has('Nats-TTL') === true;
          return subject.startsWith('queue.cmd.') || (subject.startsWith('queue.later.') && !isNote);
        })
        .map(({ headers, sequence, subject }) => {
          const [, at] = headers?.get('Nats-Schedule').split('@at ') ?? [];
          return { stream: name, subject, sequence, dueAt: at === undefined ? 0 : Date.parse(at) };
        });
    });
  }

  /** A lock is granted: nobody else may believe that it is theirs. */
  #believe(subject: string, body: unknown): void {
    const [, , lock, , event] = subject.split('.');
    if (event !== 'acquired') return;
    const token = (body as { state?: { fencing_token?: number } }).state?.fencing_token;
    const wasBroken = this.#desk.breaks.some((each) => each.lock === lock);
    if (wasBroken) return;
    for (const { client, lease, lock: held } of this.#desk.leases) {
      if (held !== lock || lease.fencingToken === token) continue;
      const left = lease.remainingMs();
      if (left > 0) {
        this.#beliefs.push(
          `${Math.round(this.#elapsed)} ms: ${lock} is granted with token ${token}, while client ${client} believes in token ${lease.fencingToken} for ${left} ms`,
        );
      }
    }
  }

  #record(calmAfterMs: number): HistoryRecord {
    const { breaks, commands, garbage, locks, reads } = this.#desk;
    return {
      script: this.#script,
      stored: this.#witness.stored,
      commands,
      locks,
      reads,
      garbage,
      copies: this.#witness.copies,
      beliefs: this.#beliefs,
      spoken: this.#witness.spoken,
      left: this.#left(),
      unrest: this.#unrest,
      calmAfterMs,
      breaks,
      hasRuin: this.#script.steps.some(isRuin),
      events: this.nats.time.events,
    };
  }
}

function consumersOf(stream: Stream | undefined): Consumer[] {
  return [...(stream?.consumers.values() ?? [])];
}

/** How long a fault lasts. */
function spanOf(step: Fault): number {
  switch (step.kind) {
    case 'kill':
    case 'stopNode':
      return step.downMs + ('unnoticedMs' in step ? step.unnoticedMs : 0);
    case 'freeze':
    case 'slow':
    case 'stall':
    case 'lag':
    case 'holdSchedules':
      return step.ms;
    case 'changeLeader':
      return step.gapMs + step.deposedMs;
    case 'changeConsumerLeader':
      return step.gapMs;
    case 'disconnect':
      return step.unnoticedMs;
    case 'disturb':
      return step.how === 'delay' ? step.delayMs : 0;
    case 'restart':
    case 'redeliver':
    case 'jump':
    case 'deleteStream':
    case 'restoreStream':
    case 'deleteConsumer':
    case 'purgeEntity':
      return 0;
  }
}
