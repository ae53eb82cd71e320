/** Agents as processes of their own, run from their sources, so that tests can kill them for real. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawnFromSource } from './spawn-from-source.ts';
import { openConnection, pingAgents } from './wire.ts';
import { until } from './until.ts';

export interface AgentProcessOptions {
  /** The app's `src/main.ts`: `new URL('../src/main.ts', import.meta.url)`. */
  main: URL;
  /** The agent's name, as `$SRV.PING.<name>` knows it. */
  name: string;
  /** URLs, separated by commas. */
  natsUrl: string;
  /** Default 1. */
  streamReplicas?: 1 | 3;
  /** Modules that it loads first: file URLs. */
  imports?: readonly string[];
  /** Further environment. */
  env?: Readonly<Record<string, string>>;
}

export interface AgentExit {
  code: number | null;
  /** Such as `SIGKILL`. */
  signal: string | null;
}

/** Log lines kept for a failure's message. */
const LOG_LINES = 50;

/** An agent's process; killed and restarted at will. */
export class AgentProcess {
  readonly #options: AgentProcessOptions;
  readonly #log: string[] = [];
  #child?: ChildProcess;
  #exit: Promise<AgentExit> | undefined;
  #healthPort: number | undefined;

  constructor(options: AgentProcessOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Settles when the current run ends. */
  get exited(): Promise<AgentExit> {
    if (this.#exit === undefined) throw new Error('the agent process never started');
    return this.#exit;
  }

  /** The last lines it logged, over all its runs. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** Starts the process; resolves when it serves. A process that still runs is killed first. */
  async restart(): Promise<void> {
    await this.kill();
    this.#spawn();
    await this.#ready();
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** SIGSTOP freezes it with its connections open, SIGCONT thaws it; SIGWINCH is for modules that it has loaded. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGWINCH'): void {
    this.#child?.kill(signal);
  }

  /** SIGTERM; resolves with how it exited. */
  async terminate(): Promise<AgentExit> {
    this.#child?.kill('SIGTERM');
    return this.exited;
  }

  /** Kills it for good. */
  stop(): Promise<void> {
    return this.kill();
  }

  #spawn(): void {
    const { main, natsUrl, streamReplicas = 1, imports = [], env = {} } = this.#options;
    const ownEnv = {
      NATS_URL: natsUrl,
      STREAM_REPLICAS: String(streamReplicas),
      HEALTH_PORT: '0',
      LOG_LEVEL: 'info',
      ...env,
    };
    const child = spawnFromSource(main, ownEnv, imports);
    this.#healthPort = undefined;
    this.#child = child;
    this.#exit = once(child, 'exit').then(([code, signal]): AgentExit => ({ code, signal }));
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', (line) => this.#read(line));
  }

  #read(line: string): void {
    this.#log.push(line);
    if (this.#log.length > LOG_LINES) this.#log.shift();
    if (this.#healthPort !== undefined || !line.includes('"port"')) return;
    this.#healthPort = (JSON.parse(line) as { port: number }).port;
  }

  /** Its own health endpoint says that this very process serves; the ping says that the server knows. */
  async #ready(): Promise<void> {
    const { name, natsUrl } = this.#options;
    let gone = false;
    void this.exited.then(() => (gone = true));
    await until(
      () => `${name} is ready; it logged:\n${this.log}`,
      async () => {
        if (gone) throw new Error(`${name} ended before it was ready:\n${this.log}`);
        return this.#healthPort !== undefined && (await isReady(this.#healthPort));
      },
    );
    const connection = await openConnection(natsUrl);
    try {
      await until(`${name} answers $SRV.PING`, async () => (await pingAgents(connection, name)).length > 0);
    } finally {
      await connection.close();
    }
  }
}

/** Starts an agent from its sources; resolves when it serves. */
export async function startAgentProcess(options: AgentProcessOptions): Promise<AgentProcess> {
  const agent = new AgentProcess(options);
  try {
    await agent.restart();
    return agent;
  } catch (error) {
    await agent.stop();
    throw error;
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  } catch {
    return false;
  }
}
