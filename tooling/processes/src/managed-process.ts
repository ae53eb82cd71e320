import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { LogTail } from './log-tail.ts';
import { guardProcess, type ProcessGuard } from './process-guard.ts';

/** All that is decided before a process starts; a restart uses it again unchanged. */
export interface ProcessPlan {
  /** For people. */
  readonly name: string;
  readonly file: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** The whole environment. Default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Runs it as this user and group, for servers that refuse to run as root. */
  readonly uid?: number;
  readonly gid?: number;
  /** A temporary directory that goes with it, whatever ends this process. */
  readonly directory?: string;
  /** Opens a channel: `onMessage` receives, `send` sends. */
  readonly onMessage?: (message: unknown) => void;
  /** Told each line it writes, on either stream. */
  readonly onLine?: (line: string) => void;
  /** Asked every 25 ms until it is true. Default: ready as soon as it is spawned. */
  readonly isReady?: (process: ManagedProcess) => boolean | Promise<boolean>;
  /** Default: 30,000 ms. */
  readonly readyTimeoutMs?: number;
}

/** Both are null when it could not even be spawned. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that ended, or took too long, before it was ready. */
export class ProcessFailed extends Error {
  override readonly name = 'ProcessFailed';
}

const pollMs = 25;
const defaultReadyTimeoutMs = 30_000;
const gracefulStopMs = 5_000;
const shownLogLines = 30;

/** One run: from a spawn to its exit. */
interface Run {
  readonly child: ChildProcess;
  readonly exited: Promise<ProcessExit>;
  end: { readonly exit: ProcessExit; readonly reason: string } | undefined;
}

/** A child process that can be killed, frozen and started again, and never outlives this one. */
export class ManagedProcess {
  readonly name: string;
  readonly #plan: ProcessPlan;
  readonly #guard: ProcessGuard;
  readonly #log = new LogTail();
  #run: Run | undefined;

  private constructor(plan: ProcessPlan) {
    this.name = plan.name;
    this.#plan = plan;
    this.#guard = guardProcess(plan.directory);
  }

  /** Starts it; resolves when it is ready. @throws ProcessFailed with the tail of its log; then nothing is left running */
  static async start(plan: ProcessPlan): Promise<ManagedProcess> {
    const started = new ManagedProcess(plan);
    try {
      await started.restart();
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  /** Of the current run, or of the last one. */
  get pid(): number | undefined {
    return this.#run?.child.pid;
  }

  /** Also true for a frozen one. */
  get isAlive(): boolean {
    return this.#run !== undefined && this.#run.end === undefined;
  }

  /** Settles when the current run ends, however it ends; never rejects. A restart makes a new promise. */
  get exited(): Promise<ProcessExit> {
    return this.#current().exited;
  }

  /** The last 64 Ki characters it wrote, over all its runs. */
  logs(): string {
    return this.#log.text();
  }

  /** To its `process.on('message')`; needs `onMessage` in the plan. */
  send(message: object): void {
    this.#current().child.send(message);
  }

  /** SIGKILL: resolves when the process is gone. SIGSTOP freezes it with its connections open, SIGCONT thaws. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const run = this.#current();
    signalGroup(run.child, signal);
    if (signal === 'SIGKILL') await run.exited;
  }

  /** Starts it again, killing it first where it still runs; resolves when it is ready. @throws ProcessFailed */
  async restart(): Promise<void> {
    if (this.isAlive) await this.kill();
    const run = this.#spawn();
    const { isReady = () => true, readyTimeoutMs = defaultReadyTimeoutMs } = this.#plan;
    const deadline = performance.now() + readyTimeoutMs;
    for (;;) {
      if (run.end !== undefined) throw this.#failure(run.end.reason);
      if (await isReady(this)) return;
      if (performance.now() > deadline) break;
      await sleep(pollMs);
    }
    await this.kill();
    throw this.#failure(`it was not ready within ${readyTimeoutMs / 1000} s`);
  }

  /** Ends it for good (SIGTERM, after five seconds SIGKILL). */
  async stop(): Promise<ProcessExit | undefined> {
    const run = this.#run;
    if (run !== undefined && run.end === undefined) {
      signalGroup(run.child, 'SIGTERM');
      signalGroup(run.child, 'SIGCONT');
      const lastResort = setTimeout(() => signalGroup(run.child, 'SIGKILL'), gracefulStopMs);
      await run.exited;
      clearTimeout(lastResort);
    }
    this.#guard.release();
    return await run?.exited;
  }

  #spawn(): Run {
    const { file, args = [], cwd, env, uid, gid, onMessage, onLine } = this.#plan;
    // Detached, so that a Ctrl-C in the terminal reaches only this process, which then stops its children in its own order.
    const child = spawn(file, args, {
      cwd,
      env,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', ...(onMessage === undefined ? [] : (['ipc'] as const))],
    });
    const run: Run = { child, end: undefined, exited: this.#watch(child, (end) => (run.end ??= end)) };
    this.#run = run;
    this.#guard.watch(child.pid);
    for (const input of [child.stdout, child.stderr]) {
      if (input === null) continue;
      createInterface({ input, crlfDelay: Infinity }).on('line', (line) => {
        this.#log.append(`${line}\n`);
        onLine?.(line);
      });
    }
    if (onMessage !== undefined) child.on('message', onMessage);
    return run;
  }

  #watch(child: ChildProcess, ended: (end: NonNullable<Run['end']>) => void): Promise<ProcessExit> {
    return new Promise((resolve) => {
      const finish = (exit: ProcessExit, reason: string): void => {
        ended({ exit, reason });
        this.#guard.watch(undefined);
        resolve(exit);
      };
      child.once('close', (code, signal) => finish({ code, signal }, `it ended with ${signal ?? `code ${code}`}`));
      child.once('error', (error) => {
        if (child.pid === undefined) finish({ code: null, signal: null }, error.message);
      });
    });
  }

  #failure(reason: string): ProcessFailed {
    const { name, file, args = [] } = this.#plan;
    const log = this.#log.lastLines(shownLogLines);
    const said = log === '' ? 'It wrote nothing.' : `It wrote:\n${log.replaceAll(/^/gm, '    ')}`;
    return new ProcessFailed(`${name} did not start: ${reason}. Command: ${[file, ...args].join(' ')}. ${said}`);
  }

  #current(): Run {
    if (this.#run === undefined) throw new Error(`${this.name} never started`);
    return this.#run;
  }
}

/** Also reaches what the child has started, unless that has left its group. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, signal);
  } catch {
    // All of it has ended.
  }
}
