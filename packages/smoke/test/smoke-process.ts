import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as its users do, on the sources. Nothing of this process's NATS_* variables reaches it. */
export function startSmoke(
  args: readonly string[],
  env: Record<string, string> = {},
): { child: ChildProcess; finished: Promise<Finished> } {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('NATS_'));
  const child = spawn(process.execPath, ['--conditions=@meshforge/source', '--import', tsx, main, ...args], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const collect = async (): Promise<Finished> => {
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: code as number | null, stdout, stderr };
  };
  return { child, finished: collect() };
}

export async function smoke(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return await startSmoke(args, env).finished;
}
