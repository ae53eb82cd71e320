// Hunts for options that npm start swallows. Whatever is left over has to end before anything is installed or started.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

function npmStart(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = new URL('../start.mjs', import.meta.url).pathname;
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
}

test('--help tells the options, the environment and the exit codes', () => {
  const { status, stdout } = npmStart('--help');
  expect(status).toBe(0);
  for (const word of ['--verbose', 'NATS_URL', 'MESHFORGE_NATS_SERVER', 'Exit codes']) expect(stdout).toContain(word);
});

test('an unknown option ends with code 2 and says where help is', () => {
  const { status, stderr } = npmStart('--verbos');
  expect(status).toBe(2);
  expect(stderr).toBe('npm start: unknown option --verbos. See `npm start -- --help`.\n');
});
