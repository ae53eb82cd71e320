import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const prefix = '.fetch-';
/** Any fetch ends sooner, so what is older was left by a process that was killed. */
const abandonedAfterMs = 60 * 60_000;

/**
 * Lets `build` make a directory beside its place and then moves it there as a whole, so that readers see all of it or
 * nothing. `build` gets an empty directory of its own, removed afterwards, and answers which directory below it takes which
 * name in `parent`. When another process was faster, its directory stays and is the answer.
 */
export async function buildIntoPlace(
  parent: string,
  build: (directory: string) => Promise<{ readonly built: string; readonly name: string }>,
): Promise<string> {
  await mkdir(parent, { recursive: true });
  await removeAbandoned(parent);
  const directory = await mkdtemp(join(parent, prefix));
  try {
    const { built, name } = await build(directory);
    const target = join(parent, name);
    await rename(built, target).catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    });
    return target;
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
