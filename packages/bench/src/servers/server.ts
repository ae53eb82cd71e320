import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedProcess, type ProcessPlan } from '@meshforge/processes';

/** A running server of the benchmark, on 127.0.0.1 with its data in a temporary directory; `stop` removes both. */
export interface Server {
  /** As the server itself reports it. */
  readonly version: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export const loopback = '127.0.0.1';

/** What a started server's process answers to, and how to end it. */
export interface ServerProcess {
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** For a server's data; of that user and group, when they are given. */
export async function temporaryDirectory(name: string, owner?: { uid: number; gid: number }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `meshforge-bench-${name}-`));
  if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
  return directory;
}

/** Starts a server whose temporary directory goes with it. Throws ProcessFailed; then nothing is left. */
export async function startServerProcess(plan: ProcessPlan & { directory: string }): Promise<ServerProcess> {
  const remove = async (): Promise<void> => await rm(plan.directory, { recursive: true, force: true, maxRetries: 5 });
  const server = await ManagedProcess.start({ cwd: plan.directory, ...plan }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  return {
    get pid() {
      return server.pid ?? 0;
    },
    stop: async (signal) => {
      // The gentle signal of a server for which SIGTERM is not the one.
      if (signal !== undefined && server.isAlive) await server.kill(signal);
      await server.stop();
      await remove();
    },
  };
}

/** What an HTTP endpoint answers, as JSON; nothing while nobody answers well. */
export async function askHttp(url: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const response = await fetch(url);
    const text = await response.text();
    if (!response.ok) return undefined;
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  } catch {
    return undefined;
  }
}

/** Where a version has to be and is not, there is somebody else on the port. */
export function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Error(`${what} does not tell its version`);
  return value;
}
