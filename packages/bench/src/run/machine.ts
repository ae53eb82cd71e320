import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { libraryVersion } from '../servers/library-version.ts';
import type { Machine } from './result.ts';

const syncs = 100;

/** What the figures depend on. */
export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    meshforge: libraryVersion('@meshforge/runtime'),
    fsyncMs: measureSync(),
  };
}

/** The median of a hundred, where the servers keep their data too. */
function measureSync(): number {
  const directory = mkdtempSync(join(tmpdir(), 'meshforge-bench-sync-'));
  const file = openSync(join(directory, 'file'), 'w');
  const block = Buffer.alloc(4096, 1);
  const times = Array.from({ length: syncs }, () => {
    const start = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    return performance.now() - start;
  }).toSorted((a, b) => a - b);
  closeSync(file);
  rmSync(directory, { recursive: true });
  return times[syncs / 2] ?? 0;
}
