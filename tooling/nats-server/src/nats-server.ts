import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LogTail, guardProcess, type ProcessGuard } from '@meshforge/processes';
import type { ServerPlan } from './server-plan.ts';
import { ServerProcess, type ServerExit } from './server-process.ts';

const gracefulStopMs = 5_000;

/** A running server, or one that was killed and can be started again. */
export class NatsServer {
  readonly #plan: ServerPlan;
  readonly #guard: ProcessGuard;
  readonly #log = new LogTail();
  #process: ServerProcess | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(plan: ServerPlan) {
    this.#plan = plan;
    this.#guard = guardProcess(plan.workDir);
  }

  /** Starts the planned server; on failure nothing is left behind. */
  static async start(plan: ServerPlan): Promise<NatsServer> {
    const server = new NatsServer(plan);
    try {
      await server.restart();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** For clients: `nats://127.0.0.1:<port>`, the same after a restart. */
  get url(): string {
    return `nats://${this.#plan.host}:${this.#plan.port}`;
  }

  get port(): number {
    return this.#plan.port;
  }

  /** The server's name in its cluster; nothing for a server alone. */
  get name(): string | undefined {
    return this.#plan.name;
  }

  get dataDir(): string {
    return this.#plan.dataDir;
  }

  /** Of the current run, or of the last one. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The http monitoring address; another one after each restart. */
  get monitorUrl(): string {
    return this.#current().monitorUrl;
  }

  /** Settles when the current run ends, however it ends; never rejects. A restart makes a new promise. */
  get exited(): Promise<ServerExit> {
    return this.#current().exited;
  }

  /** Also true for a frozen one. */
  get isAlive(): boolean {
    return this.#process?.isAlive ?? false;
  }

  /** The last 64 Ki characters the server wrote, over all its runs. */
  logs(): string {
    return this.#log.text();
  }

  /** SIGKILL: resolves when the process is gone, data stays. SIGSTOP freezes it with its connections open, SIGCONT thaws. */
  async kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    this.#current().signal(signal);
    if (signal === 'SIGKILL') await this.exited;
  }

  /**
   * Starts it again on the same port and data, ending it first where it still runs; resolves when it is ready. Throws
   * `NatsServerStartFailed`, and after `stop()` an error.
   */
  async restart(): Promise<void> {
    if (this.#stopping !== undefined) throw new Error('this nats-server was stopped; start a new one');
    const before = this.#starting;
    this.#starting = (before ?? Promise.resolve()).catch(() => undefined).then(async () => await this.#run());
    await this.#starting;
  }

  /** Ends it (SIGTERM, after five seconds SIGKILL) and removes temporary data. A data directory you named stays. */
  stop(): Promise<void> {
    this.#stopping ??= this.#remove();
    return this.#stopping;
  }

  async #run(): Promise<void> {
    await this.#end();
    const running = await ServerProcess.spawn(this.#plan, (chunk) => this.#log.append(chunk));
    this.#process = running;
    this.#guard.watch(running.pid);
    void running.exited.then(() => this.#guard.watch(undefined));
    try {
      await running.ready();
    } catch (error) {
      running.signal('SIGKILL');
      await running.exited;
      throw error;
    }
  }

  async #remove(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    await this.#end();
    await rm(this.#plan.workDir, { recursive: true, force: true, maxRetries: 5 });
    this.#guard.release();
  }

  async #end(): Promise<void> {
    const running = this.#process;
    if (running === undefined || !running.isAlive) return;
    running.signal('SIGTERM');
    running.signal('SIGCONT');
    const timer = new AbortController();
    const patience = sleep(gracefulStopMs, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([running.exited, patience]);
    timer.abort();
    running.signal('SIGKILL');
    await running.exited;
  }

  #current(): ServerProcess {
    if (this.#process === undefined) throw new Error('this nats-server never started');
    return this.#process;
  }
}
