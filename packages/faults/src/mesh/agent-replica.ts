import { setTimeout as sleep } from 'node:timers/promises';
import { answersOk, ManagedProcess, pickFreePorts } from '@meshforge/processes';
import type { Link } from '../proxy/link.ts';
import { controlArguments, type ControlMessage, type MemoryMessage } from './agent-control.ts';

export interface AgentPlan {
  /** The agent's token on the wire. */
  readonly agent: string;
  /** Where it runs. */
  readonly folder: string;
  /** What it runs, from its folder. */
  readonly module: string;
  /** From 1. */
  readonly number: number;
  /** Its own way to each server. */
  readonly links: readonly Link[];
  readonly streamReplicas: 1 | 3;
  /** Further settings. */
  readonly env?: NodeJS.ProcessEnv;
  /** Told when it ends although nobody killed it. */
  readonly onDeath: (death: Death) => void;
}

/** An agent that ended by itself. */
export interface Death {
  readonly name: string;
  /** Whether it had served before: starting up, it may give up on a server that does not answer. */
  readonly served: boolean;
  readonly log: string;
}

/** Its own patience with a JetStream without leader is 30 s. */
const readyTimeoutMs = 60_000;
const reviveAttempts = 10;
const revivePauseMs = 500;
/** An agent drains for up to 15 s. */
const haltMs = 20_000;
const measureTimeoutMs = 10_000;
const shownLogLines = 20;

/** A replica of an agent as a process of its own, to be killed, frozen and confused. */
export class AgentReplica {
  readonly name: string;
  readonly agent: string;
  readonly links: readonly Link[];
  readonly #plan: AgentPlan;
  readonly #process: ManagedProcess;
  /** A restart uses it as it is then. */
  readonly #env: NodeJS.ProcessEnv;
  readonly #healthUrl: string;
  /** Starts wait for it, and for each other. */
  #mayStart: Promise<unknown> = Promise.resolve();
  #onMeasured: ((memory: MemoryMessage) => void) | undefined;
  /** Ends by our hand are no deaths. */
  #isAskedToEnd = false;

  private constructor(plan: AgentPlan, started: ManagedProcess, env: NodeJS.ProcessEnv, healthUrl: string) {
    [this.#plan, this.#process, this.#env, this.#healthUrl] = [plan, started, env, healthUrl];
    ({ agent: this.agent, links: this.links } = plan);
    this.name = started.name;
  }

  /** Resolves when it serves. @throws ProcessFailed */
  static async start(plan: AgentPlan): Promise<AgentReplica> {
    const [healthPort] = await pickFreePorts('127.0.0.1', 1);
    const healthUrl = `http://127.0.0.1:${healthPort}/readyz`;
    const env = environment(plan, healthPort ?? 0);
    const onMessage = (message: unknown): void => replica.#onMeasured?.(message as MemoryMessage);
    const started = await ManagedProcess.start({
      name: nameOf(plan),
      file: process.execPath,
      args: [...controlArguments, plan.module],
      cwd: plan.folder,
      env,
      readyTimeoutMs,
      isReady: async () => await answersOk(healthUrl),
      onMessage,
    });
    const replica = new AgentReplica(plan, started, env, healthUrl);
    replica.#watch();
    return replica;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isAlive(): boolean {
    return this.#process.isAlive;
  }

  /** Whether it says that it can serve. */
  async isReady(): Promise<boolean> {
    return await answersOk(this.#healthUrl);
  }

  /** What it expects of the streams from its next start on. */
  set streamReplicas(replicas: 1 | 3) {
    this.#env['STREAM_REPLICAS'] = String(replicas);
  }

  logs(): string {
    return this.#process.logs();
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isAskedToEnd = true;
    await this.#process.kill('SIGKILL');
  }

  async freeze(): Promise<void> {
    await this.#process.kill('SIGSTOP');
  }

  async thaw(): Promise<void> {
    await this.#process.kill('SIGCONT');
  }

  /** SIGTERM, also to a frozen one; resolves when it is gone. */
  async halt(): Promise<void> {
    this.#isAskedToEnd = true;
    for (const signal of ['SIGTERM', 'SIGCONT'] as const) await this.#process.kill(signal);
    await Promise.race([this.#process.exited, sleep(haltMs, undefined, { ref: false })]);
    await this.kill();
  }

  /** Resolves when no start of it is under way; none begins until what it answers is called. */
  async holdStarts(): Promise<() => void> {
    const before = this.#mayStart;
    let release = (): void => {};
    this.#mayStart = new Promise<void>((resolve) => (release = resolve));
    await before;
    return release;
  }

  /** Starts it again, and once more where it gives up; resolves when it serves. @throws ProcessFailed */
  async revive(): Promise<void> {
    const release = await this.holdStarts();
    try {
      // Whoever killed it and whoever stopped it may both want it back.
      if (!this.isAlive) await this.#revive();
    } finally {
      release();
    }
  }

  async #revive(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#isAskedToEnd = true;
        await this.#process.restart();
        this.#watch();
        return;
      } catch (error) {
        if (attempt >= reviveAttempts) throw error;
        this.#plan.onDeath({ name: this.name, served: false, log: this.#logTail() });
        await sleep(revivePauseMs);
      }
    }
  }

  /** Its wall clock differs from the machine's by so much from now on, until it is killed. */
  skewClock(skewMs: number): void {
    this.#send({ skewMs });
  }

  /** Its memory after its garbage was collected; undefined where it does not answer. */
  async measure(): Promise<MemoryMessage | undefined> {
    const measured = new Promise<MemoryMessage>((resolve) => (this.#onMeasured = resolve));
    this.#send({ measure: true });
    return await Promise.race([measured, sleep(measureTimeoutMs, undefined, { ref: false })]);
  }

  async stop(): Promise<void> {
    this.#isAskedToEnd = true;
    await this.#process.stop();
  }

  #send(message: ControlMessage): void {
    if (this.isAlive) this.#process.send(message);
  }

  #watch(): void {
    this.#isAskedToEnd = false;
    void this.#outlive(this.#process.exited);
  }

  async #outlive(exited: Promise<unknown>): Promise<void> {
    await exited;
    if (this.#isAskedToEnd) return;
    this.#plan.onDeath({ name: this.name, served: true, log: this.#logTail() });
    await this.revive().catch(() => {});
  }

  #logTail(): string {
    return this.logs().trimEnd().split('\n').slice(-shownLogLines).join('\n');
  }
}

function nameOf({ agent, number }: AgentPlan): string {
  return `${agent}-${number}`;
}

function environment({ env, links, streamReplicas }: AgentPlan, healthPort: number): NodeJS.ProcessEnv {
  // Settings of whoever runs the harness are not meant for these agents.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:NATS_|NODE_|VITEST)/.test(name));
  return {
    ...Object.fromEntries(inherited),
    NATS_URL: links.map((link) => link.url).join(),
    STREAM_REPLICAS: String(streamReplicas),
    HEALTH_PORT: String(healthPort),
    ...env,
  };
}
