import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tellWhileSlow, type OnProgress } from './progress.ts';
import type { ServerSource } from './server-source.ts';
import { probeVersion } from './server-version.ts';

/**
 * Fetches a server from one source, proves that it runs and is new enough, and puts it at `target`. Answers its version.
 * The work happens in a directory beside the target and ends in a rename, so readers see a whole binary or none, and
 * processes that fetch at the same time only replace one good binary by another.
 */
export async function fetchIntoCache(source: ServerSource, target: string, onProgress: OnProgress): Promise<string> {
  await mkdir(dirname(target), { recursive: true });
  const directory = await mkdtemp(join(dirname(target), '.fetch-'));
  try {
    const working = source.fetch({ directory, onProgress });
    const binary = await tellWhileSlow(onProgress, `fetching nats-server from ${source.name}`, working);
    await chmod(binary, 0o755);
    const version = await probeVersion(binary);
    await rename(binary, target);
    return version;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
