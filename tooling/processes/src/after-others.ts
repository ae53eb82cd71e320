import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 100;
/** A lock this old was left behind: all sources together end sooner. */
const staleAfterMs = 5 * 60_000;

/**
 * Runs `work` under a lock file, or, when a process on this machine holds it already, first waits until that one is done and
 * then runs `work` without the lock: it finds the other's result, or fails as the other did, and nobody queues behind a
 * failure. This only saves double work. It is no mutual exclusion; what `work` does must be safe to do twice at once.
 */
export async function afterOthers<T>(lockPath: string, work: () => Promise<T>): Promise<T> {
  const isMine = await createLock(lockPath);
  if (!isMine) {
    while (await isHeld(lockPath)) await sleep(pollMs);
    return await work();
  }
  try {
    return await work();
  } finally {
    await rm(lockPath, { force: true });
  }
}

async function createLock(lockPath: string): Promise<boolean> {
  if (await isAbandoned(lockPath)) await rm(lockPath, { force: true });
  try {
    await writeFile(lockPath, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function isHeld(lockPath: string): Promise<boolean> {
  return (await ageMs(lockPath)) !== undefined && !(await isAbandoned(lockPath));
}

async function isAbandoned(lockPath: string): Promise<boolean> {
  const age = await ageMs(lockPath);
  if (age === undefined) return false;
  if (age > staleAfterMs) return true;
  const pid = Number(await readFile(lockPath, 'utf8').catch(() => ''));
  // Empty for the moment between its creation and the writing of the pid.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  return !isRunning(pid);
}

async function ageMs(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : Date.now() - found.mtimeMs;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
