// Hunts: a server, or its temporary directory, that outlives the process that started it, however that process ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const parentScript = fileURLToPath(new URL('./server-parent.ts', import.meta.url));

/** Starts a process that starts a server, and learns from its first line what it started. */
async function startParent(ending: string) {
  // The one that throws would print its stack among the results.
  const errors = ending === 'throw' ? 'ignore' : 'inherit';
  const parent = spawn(process.execPath, ['--import', tsx, parentScript, ending], {
    stdio: ['ignore', 'pipe', errors],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const exited = once(parent, 'exit');
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  return { parent, exited, ...(JSON.parse(line) as { pid: number; dataDir: string }) };
}

async function isGone(pid: number, directory: string): Promise<boolean> {
  const isThere = await access(directory).then(
    () => true,
    () => false,
  );
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return !isThere;
  }
}

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('a server ends with a parent that ends by %s', async (signal) => {
  const { parent, exited, pid, dataDir } = await startParent('wait');
  expect(await isGone(pid, dataDir)).toBe(false);
  parent.kill(signal);
  await exited;
  await expect.poll(() => isGone(pid, dataDir)).toBe(true);
});

test('a running server keeps its parent alive, as any server does', async () => {
  const { parent, pid, dataDir } = await startParent('return');
  await sleep(500);
  expect(parent.exitCode).toBeNull();
  expect(await isGone(pid, dataDir)).toBe(false);
});

test.each(['exit', 'throw'])('a server ends with a parent that ends by %s', async (ending) => {
  const { exited, pid, dataDir } = await startParent(ending);
  await exited;
  await expect.poll(() => isGone(pid, dataDir)).toBe(true);
});
