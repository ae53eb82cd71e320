// One child process with all that it starts, and its end.
import { spawn } from 'node:child_process';

const patienceMs = 5_000;
const keptCharacters = 64 * 1024;
const onWindows = process.platform === 'win32';

/** The signal came while a command ran. */
export class Stopped extends Error {
  constructor() {
    super('stopped');
    this.name = 'Stopped';
  }
}

/**
 * Runs a command to its end, with no input. Rejects with `Stopped` after the signal, when all of it is gone, and with the
 * system's error when it cannot be started.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{
 *   cwd: string,
 *   signal: AbortSignal,
 *   env?: NodeJS.ProcessEnv,
 *   quiet?: boolean,
 *   limitMs?: number,
 * }} options quiet: nothing is shown, the tail of the output comes back; limitMs: after that it is ended
 * @returns {Promise<{ code: number | null, output: string, late: boolean }>}
 */
export function runCommand(command, args, { cwd, signal, env = process.env, quiet = false, limitMs }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Stopped());
    const output = quiet ? 'pipe' : 'inherit';
    // A process group of its own: Ctrl-C in the terminal reaches only this process, which then ends the group.
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ['ignore', output, output],
      detached: !onWindows,
      shell: onWindows,
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
        text = (text + chunk).slice(-keptCharacters);
      });
    }

    let late = false;
    /** @type {NodeJS.Timeout | undefined} */
    let lastResort;
    const end = () => {
      endGroup(child, 'SIGTERM');
      lastResort ??= setTimeout(() => endGroup(child, 'SIGKILL'), patienceMs);
    };
    const limit = limitMs === undefined ? undefined : setTimeout(() => ((late = true), end()), limitMs);
    signal.addEventListener('abort', end, { once: true });
    const settle = () => {
      clearTimeout(limit);
      clearTimeout(lastResort);
      signal.removeEventListener('abort', end);
      // What the command left running in its group would keep ports and files.
      if (late || signal.aborted) endGroup(child, 'SIGKILL');
    };
    child.once('error', (error) => {
      settle();
      reject(error);
    });
    child.once('close', (code) => {
      settle();
      if (signal.aborted) reject(new Stopped());
      else resolve({ code, output: text, late });
    });
  });
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function endGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    if (onWindows) child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // It ended by itself a moment ago.
  }
}
