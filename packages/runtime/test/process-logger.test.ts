/** Hunts a process that does not end because nobody reads what it logs. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { spawnFromSource } from './support/spawn-from-source.ts';

test('a process whose log nobody reads any more ends as it was to', async () => {
  const child = spawnFromSource(new URL('./support/talkative.ts', import.meta.url), {});
  await once(child, 'spawn');
  child.stdout.destroy();
  child.stderr.destroy();
  expect(await once(child, 'exit')).toEqual([3, null]);
}, 20_000);
