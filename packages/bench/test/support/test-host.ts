import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../src/contender.ts';

/** The conducting process of a test file; a first download may take longer than a test may. */
export const firstStartMs = 10 * 60_000;

export interface TestHost extends Host {
  /** Stops all that was shared, last first. */
  stop(): Promise<void>;
}

export function createTestHost(): TestHost {
  const started = new Map<string, Promise<{ stop(): Promise<unknown> }>>();
  return {
    shared: async <S extends { stop(): Promise<unknown> }>(key: string, start: () => Promise<S>): Promise<S> => {
      const server = (started.get(key) as Promise<S> | undefined) ?? start();
      started.set(key, server);
      return await server;
    },
    onProgress: (line) => void process.stderr.write(`${line}\n`),
    stop: async () => {
      for (const server of [...started.values()].toReversed()) await (await server.catch(() => undefined))?.stop();
    },
  };
}

/** Until `restore`, temporary directories are made in `directory`, which servers that run as somebody else can enter. */
export async function ownTemporaryDirectory(): Promise<{ directory: string; restore(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'meshforge-bench-test-'));
  await chmod(directory, 0o755);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = directory;
  return {
    directory,
    restore: async () => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
