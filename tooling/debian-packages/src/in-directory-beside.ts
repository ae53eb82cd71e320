import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const prefix = '.fetch-';
/** Any fetch ends sooner, so what is older was left by a process that was killed. */
const abandonedAfterMs = 60 * 60_000;

/**
 * Gives `work` an empty directory below `parent`, which must exist, and removes it afterwards: what is made there can be put
 * in its place by a rename. Removes what earlier processes have left there when they were killed.
 */
export async function inDirectoryBeside<T>(parent: string, work: (directory: string) => Promise<T>): Promise<T> {
  await removeAbandoned(parent);
  const directory = await mkdtemp(join(parent, prefix));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of (await readdir(parent)).filter((entry) => entry.startsWith(prefix))) {
    const directory = join(parent, name);
    const found = await stat(directory).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < abandonedAfterMs) continue;
    await rm(directory, { recursive: true, force: true }).catch(() => undefined);
  }
}
