import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** An agent drains for at most 15 s by itself. */
const stopPatienceMs = 20_000;
const keptLines = 20;
const endWithParent = new URL('end-with-parent.js', import.meta.url).href;

export interface AgentProcessOptions {
  /** Of the agent, as it answers pings. */
  readonly name: string;
  /** The app's folder, which holds dist/main.js. */
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Told each line that the process writes. */
  readonly onLine?: (line: string) => void;
}

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One process of one agent, with its log in a file. It does not outlive this process. */
export class AgentProcess {
  readonly name: string;
  readonly logFile: string;
  /** Settles when it has ended and its log is written; never rejects. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #log: WriteStream;
  readonly #tail: string[] = [];

  constructor({ name, directory, env, logFile, onLine }: AgentProcessOptions) {
    this.name = name;
    this.logFile = logFile;
    this.#log = createWriteStream(logFile, { flags: 'a' });
    // In a group of its own, so that a Ctrl-C in the terminal leaves the order of stopping to us; the channel tells the
    // process when we are gone.
    this.#child = spawn(process.execPath, ['--import', endWithParent, 'dist/main.js'], {
      cwd: directory,
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    for (const input of [this.#child.stdout, this.#child.stderr]) {
      if (input === null) continue;
      createInterface({ input, crlfDelay: Infinity }).on('line', (line) => {
        this.#keep(line);
        onLine?.(line);
      });
    }
    this.ended = this.#end();
  }

  /** The last lines it wrote. */
  get tail(): readonly string[] {
    return this.#tail;
  }

  /** SIGTERM, and SIGKILL to one that does not drain in time. */
  async stop(): Promise<Ending> {
    this.#child.kill('SIGTERM');
    const lastResort = setTimeout(() => this.#child.kill('SIGKILL'), stopPatienceMs);
    const ending = await this.ended;
    clearTimeout(lastResort);
    return ending;
  }

  #keep(line: string): void {
    this.#log.write(`${line}\n`);
    this.#tail.push(line);
    if (this.#tail.length > keptLines) this.#tail.shift();
  }

  async #end(): Promise<Ending> {
    const ending = await new Promise<Ending>((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', (error) => {
        this.#keep(error.message);
        if (this.#child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
    await new Promise<void>((resolve) => this.#log.end(resolve));
    return ending;
  }
}

/** For people: `code 1`, `SIGKILL`. */
export function describeEnding({ code, signal }: Ending): string {
  return signal ?? (code === null ? 'no process at all' : `code ${code}`);
}
