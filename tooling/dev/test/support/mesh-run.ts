import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

const script = new URL('start-mesh.mjs', import.meta.url).pathname;
const patienceMs = 60_000;

/** A folder for the data and the logs, as a checkout has one. */
export function temporaryCheckout(): string {
  const root = mkdtempSync(join(tmpdir(), 'checkout-'));
  mkdirSync(join(root, '.meshforge'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));
  return root;
}

/** `npm start` after its installing and building, in a process of its own. */
export class MeshRun {
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #output = '';

  constructor(root: string, env: NodeJS.ProcessEnv = {}, ...args: readonly string[]) {
    this.#child = spawn(process.execPath, [script, root, ...args], {
      env: { ...process.env, NATS_URL: undefined, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => (this.#output += chunk));
    }
    this.exited = new Promise((resolve) => this.#child.once('close', (code) => resolve(code)));
    onTestFinished(() => void this.#child.kill('SIGKILL'));
  }

  get output(): string {
    return this.#output;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As when the terminal is closed: nobody reads the output any more. */
  hangUp(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    this.kill('SIGHUP');
  }

  /** Where the server of this run listens; known once it shows events. */
  get url(): string {
    return /Events on (\S+)/.exec(this.#output)?.[1] ?? '';
  }

  /** Resolves when the output holds the text. */
  async shows(text: string): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!this.#output.includes(text)) {
      if (performance.now() > deadline) throw new Error(`no "${text}" in:\n${this.#output}`);
      await sleep(20);
    }
  }

  async isUp(): Promise<void> {
    await this.shows('Events on ');
  }
}
