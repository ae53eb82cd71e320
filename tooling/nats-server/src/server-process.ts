import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServerStartFailed } from './errors.ts';
import { LogTail } from '@meshforge/processes';
import { isHealthy, monitoringUrl } from './monitoring.ts';
import { serverArguments, type ServerPlan } from './server-plan.ts';

/** How a server's process ended. Both are null when it could not even be spawned. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const pollMs = 25;
const shownLogLines = 30;

/** One run of a server, from its spawn to its exit. */
export class ServerProcess {
  /** Settles when the process has ended and all it wrote was read; never rejects. */
  readonly exited: Promise<ServerExit>;
  readonly #child: ChildProcess;
  readonly #commandLine: string;
  readonly #log = new LogTail();
  readonly #portsDir: string;
  readonly #plan: ServerPlan;
  #monitorUrl = '';
  #end: { readonly exit: ServerExit; readonly reason: string } | undefined;

  private constructor(plan: ServerPlan, portsDir: string, onOutput: (chunk: string) => void) {
    const args = serverArguments(plan, portsDir);
    this.#plan = plan;
    this.#portsDir = portsDir;
    this.#commandLine = [plan.binary, ...args].join(' ');
    // Detached, so that a Ctrl-C in the terminal reaches only this process, which then stops its clients before the server.
    const child = spawn(plan.binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: plan.env, detached: true });
    this.#child = child;
    this.exited = new Promise((resolve) => {
      const finish = (exit: ServerExit, reason: string): void => {
        this.#end ??= { exit, reason };
        resolve(this.#end.exit);
      };
      child.once('close', (code, signal) => finish({ code, signal }, `it ended with ${signal ?? `code ${code}`}`));
      child.once('error', (error) => {
        if (child.pid === undefined) finish({ code: null, signal: null }, error.message);
      });
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#log.append(chunk);
        onOutput(chunk);
      });
    }
  }

  /** Spawns the planned server; it is not ready yet. */
  static async spawn(plan: ServerPlan, onOutput: (chunk: string) => void): Promise<ServerProcess> {
    // A directory per run: a killed server leaves its ports file behind.
    return new ServerProcess(plan, await mkdtemp(join(plan.workDir, 'ports-')), onOutput);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Known once the server is ready. */
  get monitorUrl(): string {
    return this.#monitorUrl;
  }

  get isAlive(): boolean {
    return this.#end === undefined;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /**
   * Resolves when the server takes connections and JetStream has recovered (a member of a cluster only needs JetStream
   * enabled, since alone it cannot become current). Throws `NatsServerStartFailed` when it ends before, or takes too long;
   * in the latter case it still runs.
   */
  async ready(): Promise<void> {
    const fully = this.#plan.cluster === undefined;
    const deadline = performance.now() + this.#plan.readyTimeoutMs;
    while (performance.now() < deadline) {
      if (this.#end !== undefined) throw this.#failure(this.#end.reason);
      const url = await monitoringUrl(this.#portsDir);
      if (url !== undefined && (await isHealthy(url, fully))) {
        this.#monitorUrl = url;
        return;
      }
      await sleep(pollMs);
    }
    throw this.#failure(`it was not ready within ${this.#plan.readyTimeoutMs / 1000} s`);
  }

  #failure(reason: string): NatsServerStartFailed {
    const log = this.#log.lastLines(shownLogLines);
    return new NatsServerStartFailed({ reason, command: this.#commandLine, log });
  }
}
