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
const measureTimeoutMs = 10_000;
const shownLogLines = 20;

/** A replica of an agent as a process of its own, to be killed, frozen and confused. */
export class AgentReplica {
  readonly name: string;
  readonly agent: string;
  readonly links: readonly Link[];
  readonly #onDeath: AgentPlan['onDeath'];
  readonly #process: ManagedProcess;
  #onMeasured: ((memory: MemoryMessage) => void) | undefined;
  /** Ends by our hand are no deaths. */
  #isAskedToEnd = false;

  private constructor(plan: AgentPlan, started: ManagedProcess) {
    this.name = nameOf(plan);
    this.agent = plan.agent;
    this.links = plan.links;
    this.#onDeath = plan.onDeath;
    this.#process = started;
  }

  /** Resolves when it serves. @throws ProcessFailed */
  static async start(plan: AgentPlan): Promise<AgentReplica> {
    const [healthPort] = await pickFreePorts('127.0.0.1', 1);
    const onMessage = (message: unknown): void => replica.#onMeasured?.(message as MemoryMessage);
    const started = await ManagedProcess.start({
      name: nameOf(plan),
      file: process.execPath,
      args: [...controlArguments, plan.module],
      cwd: plan.folder,
      env: environment(plan, healthPort ?? 0),
      readyTimeoutMs,
      isReady: async () => await answersOk(`http://127.0.0.1:${healthPort}/readyz`),
      onMessage,
    });
    const replica = new AgentReplica(plan, started);
    replica.#watch();
    return replica;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isAlive(): boolean {
    return this.#process.isAlive;
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

  /** Starts it again, and once more where it gives up; resolves when it serves. @throws ProcessFailed */
  async revive(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#isAskedToEnd = true;
        await this.#process.restart();
        this.#watch();
        return;
      } catch (error) {
        if (attempt >= reviveAttempts) throw error;
        this.#onDeath({ name: this.name, served: false, log: this.#logTail() });
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
    this.#onDeath({ name: this.name, served: true, log: this.#logTail() });
    await this.revive().catch(() => {});
  }

  #logTail(): string {
    return this.logs().trimEnd().split('\n').slice(-shownLogLines).join('\n');
  }
}

function nameOf({ agent, number }: AgentPlan): string {
  return `${agent}-${number}`;
}

function environment({ links, streamReplicas }: AgentPlan, healthPort: number): NodeJS.ProcessEnv {
  // Settings of whoever runs the harness are not meant for these agents.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:NATS_|NODE_|VITEST)/.test(name));
  return {
    ...Object.fromEntries(inherited),
    NATS_URL: links.map((link) => link.url).join(),
    STREAM_REPLICAS: String(streamReplicas),
    HEALTH_PORT: String(healthPort),
  };
}
