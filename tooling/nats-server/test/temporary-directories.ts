import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A directory that goes away with the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'nats-server-test-'));
  onTestFinished(async () => await rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}
