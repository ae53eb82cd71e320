// One child process with all that it starts, and its end.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const patienceMs = 5_000;
const pollMs = 50;
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
export async function runCommand(command, args, { cwd, signal, env = process.env, quiet = false, limitMs }) {
  if (signal.aborted) throw new Stopped();
  const shown = quiet ? 'pipe' : 'inherit';
  // A process group of its own: Ctrl-C in the terminal reaches only this process, which then ends the group.
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', shown, shown],
    detached: !onWindows,
    shell: onWindows,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      output = (output + chunk).slice(-keptCharacters);
    });
  }

  let late = false;
  let ending = Promise.resolve();
  const stop = () => {
    ending = endGroup(child);
  };
  const limit = limitMs === undefined ? undefined : setTimeout(() => ((late = true), stop()), limitMs);
  signal.addEventListener('abort', stop, { once: true });
  try {
    /** @type {number | null} */
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (signal.aborted) throw new Stopped();
    return { code, output, late };
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', stop);
    await ending;
  }
}

/**
 * Ends a command with all that it started. The command itself may be gone before the others, which have children of their own
 * to end. Bounded: a process whose end nobody collects stays in the system's table.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
async function endGroup(child) {
  signalGroup(child, 'SIGTERM');
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += pollMs) {
    if (!signalGroup(child, 0)) return;
    await sleep(pollMs);
  }
  signalGroup(child, 'SIGKILL');
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals | 0} signal 0 only asks
 * @returns {boolean} whether any process of the group is left
 */
function signalGroup(child, signal) {
  if (child.pid === undefined) return false;
  try {
    return onWindows ? child.kill(signal) : process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}
