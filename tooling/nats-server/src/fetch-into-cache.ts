import { chmod, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { OnProgress } from '@meshforge/processes';
import type { ServerSource } from './server-source.ts';
import { probeVersion } from './server-version.ts';

const prefix = '.fetch-';
/** Any fetch ends sooner, so what is older was left by a process that was killed. */
const abandonedAfterMs = 60 * 60_000;

/**
 * Fetches a server from one source, proves that it runs and is new enough, and puts it at `target`. Answers its version.
 * The work happens in a directory beside the target and ends in a rename, so readers see a whole binary or none, and
 * processes that fetch at the same time only replace one good binary by another. The target's directory must exist.
 */
export async function fetchIntoCache(source: ServerSource, target: string, onProgress: OnProgress): Promise<string> {
  const cache = dirname(target);
  await removeAbandoned(cache);
  const directory = await mkdtemp(join(cache, prefix));
  try {
    onProgress(`fetching nats-server: ${source.name}`);
    const binary = await source.fetch({ directory, onProgress });
    await chmod(binary, 0o755);
    const version = await probeVersion(binary);
    await rename(binary, target);
    return version;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeAbandoned(cache: string): Promise<void> {
  for (const name of (await readdir(cache)).filter((entry) => entry.startsWith(prefix))) {
    const directory = join(cache, name);
    const found = await stat(directory).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < abandonedAfterMs) continue;
    await rm(directory, { recursive: true, force: true }).catch(() => undefined);
  }
}
