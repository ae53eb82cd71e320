// Hunts: a test that neither npm test nor npm run test:all runs, and help that names no command.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { CHECKS, checksFor } from '../lib/checks.mjs';

const names = (checks: readonly { name: string }[]): string[] => checks.map(({ name }) => name);

test('both commands together run everything, and neither what the other runs', () => {
  const preparation = ['install', 'build'];
  const [quick, long] = [names(CHECKS.quick), names(CHECKS.long)];
  expect(quick.filter((name) => long.includes(name))).toEqual(preparation);
  expect(quick).toContain('quick tests');
  expect(long).toContain('long tests');
});

test('a filter looks through quick and long tests', () => {
  expect(names(checksFor(['packages/faults']))).toEqual(['install', 'build', 'tests']);
});

test.each([
  [[], 'npm test -- packages/protocol/test'],
  [['--long'], 'all that npm test leaves out'],
])('--help says how to run it: %j', (args, says) => {
  const script = new URL('../test.mjs', import.meta.url).pathname;
  const { status, stdout } = spawnSync(process.execPath, [script, ...args, '--help'], { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toContain(says);
  expect(stdout).toContain('Exit codes');
});
