import { spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServerStartFailed } from './errors.ts';
import type { LogTail } from './log-tail.ts';
import { isHealthy, monitoringUrl } from './monitoring.ts';
import type { ServerGuard } from './server-guard.ts';
import { serverArguments, type ServerPlan } from './server-plan.ts';

/** How a server's process ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One run of the server, from spawn to exit. */
export interface ServerProcess {
  readonly pid: number;
  readonly monitorUrl: string;
  readonly exited: Promise<ServerExit>;
  isAlive(): boolean;
  signal(signal: NodeJS.Signals): void;
}

const pollMs = 25;
const shownLogLines = 30;

/**
 * Spawns the planned server and waits until it is healthy: it takes connections, and JetStream has recovered (a member of a
 * cluster only needs JetStream enabled, since alone it cannot become current). Throws `NatsServerStartFailed`.
 */
export async function runServer(plan: ServerPlan, guard: ServerGuard, log: LogTail): Promise<ServerProcess> {
  // A directory per run: a killed server leaves its ports file behind.
  const portsDir = await mkdtemp(join(plan.workDir, 'ports-'));
  const args = serverArguments(plan, portsDir);
  const runLog: string[] = [];
  // Detached, so that a Ctrl-C in the terminal reaches only this process, which then stops its clients before the server.
  const child = spawn(plan.binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: plan.env, detached: true });
  let end: ServerExit | undefined;
  let spawnError: Error | undefined;
  const exited = new Promise<ServerExit>((resolve) => {
    const finish = (exit: ServerExit): void => {
      end ??= exit;
      guard.watch(undefined);
      resolve(end);
    };
    child.once('close', (code, signal) => finish({ code, signal }));
    child.once('error', (error) => {
      spawnError = error;
      finish({ code: null, signal: null });
    });
  });
  guard.watch(child.pid);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      log.append(chunk);
      if (runLog.length < shownLogLines * 10) runLog.push(chunk);
    });
  }
  const fail = (reason: string): NatsServerStartFailed => {
    const lines = runLog.join('').trimEnd().split('\n').slice(-shownLogLines).join('\n');
    return new NatsServerStartFailed({ reason, command: [plan.binary, ...args].join(' '), log: lines });
  };

  const deadline = performance.now() + plan.readyTimeoutMs;
  while (performance.now() < deadline) {
    if (spawnError !== undefined) throw fail(spawnError.message);
    if (end !== undefined) throw fail(`it ended with ${end.signal ?? `code ${end.code}`}`);
    const monitorUrl = await monitoringUrl(portsDir);
    if (monitorUrl !== undefined && child.pid !== undefined && (await isHealthy(monitorUrl, plan.cluster === undefined))) {
      const signal = (name: NodeJS.Signals): void => void child.kill(name);
      return { pid: child.pid, monitorUrl, exited, isAlive: () => end === undefined, signal };
    }
    await sleep(pollMs);
  }
  child.kill('SIGKILL');
  await exited;
  throw fail(`it was not ready within ${plan.readyTimeoutMs / 1000} s`);
}
