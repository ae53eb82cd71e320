import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { Socket } from 'node:net';

/** Sees to it that a child process and its temporary directory do not outlive this process. */
export interface ProcessGuard {
  /** Which process to kill from now on; `undefined` when it is down. */
  watch(pid: number | undefined): void;
  /** The child is gone for good. */
  release(): void;
}

// Reads the pid to kill, line by line; its input ends when this process ends, whatever ended it.
const watchdogScript =
  'pid=; while read -r line; do pid=$line; done; [ -n "$pid" ] && kill -9 "-$pid"; sleep 0.2; [ -n "$1" ] && rm -rf "$1"';

interface Guarded {
  pid: number | undefined;
  readonly directory: string | undefined;
}

const guarded = new Set<Guarded>();
let hooked = false;

/**
 * Guards one child. Two nets: an exit hook, and a small shell that notices even a `kill -9` of this process (not on
 * Windows). `directory` is deleted by either, so it must be a temporary one of its own. The child must lead a process group of its own (`detached`), which is killed as a whole.
 */
export function guardProcess(directory?: string): ProcessGuard {
  if (!hooked) process.on('exit', killAll);
  hooked = true;
  const entry: Guarded = { pid: undefined, directory };
  guarded.add(entry);
  const watchdog = startWatchdog(directory);
  return {
    watch(pid) {
      entry.pid = pid;
      watchdog?.stdin.write(`${pid ?? ''}\n`);
    },
    release() {
      guarded.delete(entry);
      watchdog?.kill('SIGKILL');
    },
  };
}

function startWatchdog(directory = '') {
  if (process.platform === 'win32') return undefined;
  // Detached, so that a Ctrl-C in the terminal does not reach it.
  const watchdog = spawn('/bin/sh', ['-c', watchdogScript, 'sh', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  const ignore = (): void => {};
  watchdog.on('error', ignore);
  watchdog.stdin.on('error', ignore);
  watchdog.unref();
  if (watchdog.stdin instanceof Socket) watchdog.stdin.unref();
  return watchdog;
}

function killAll(): void {
  for (const { pid, directory } of guarded) {
    if (pid !== undefined) {
      try {
        process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
      } catch {
        // It ended by itself a moment ago.
      }
    }
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
