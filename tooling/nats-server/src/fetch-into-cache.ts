import { chmod, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { inDirectoryBeside } from '@meshforge/debian-packages';
import type { OnProgress } from '@meshforge/processes';
import type { ServerSource } from './server-source.ts';
import { probeVersion } from './server-version.ts';

/**
 * Fetches a server from one source, proves that it runs and is new enough, and puts it at `target`. Answers its version.
 * The work happens in a directory beside the target and ends in a rename, so readers see a whole binary or none, and
 * processes that fetch at the same time only replace one good binary by another. The target's directory must exist.
 */
export async function fetchIntoCache(source: ServerSource, target: string, onProgress: OnProgress): Promise<string> {
  return await inDirectoryBeside(dirname(target), async (directory) => {
    onProgress(`fetching nats-server: ${source.name}`);
    const binary = await source.fetch({ directory, onProgress });
    await chmod(binary, 0o755);
    const version = await probeVersion(binary);
    await rename(binary, target);
    return version;
  });
}
