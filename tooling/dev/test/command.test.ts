// Hunts for processes that outlive a stop.
import { expect, test } from 'vitest';
import { runCommand, Stopped } from '../lib/command.mjs';

const never = new AbortController().signal;
const quiet = { cwd: '.', quiet: true };

function shell(script: string, options: Partial<Parameters<typeof runCommand>[2]> = {}) {
  return runCommand('sh', ['-c', script], { ...quiet, signal: never, ...options });
}

test('a command gives its code and, when it is quiet, its output', async () => {
  expect(await shell('echo out; echo err >&2; exit 3')).toEqual({ code: 3, output: 'out\nerr\n', late: false });
});

test('a command gets no input', async () => {
  expect(await shell('cat; echo end')).toMatchObject({ code: 0, output: 'end\n' });
});

test('a command that does not exist rejects with the error of the system', async () => {
  await expect(runCommand('no-such-command', [], { ...quiet, signal: never })).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

// `sleep` holds the output open: the run is over only when every process of it is.
test('a command over its limit is ended with all that it started, and says so', async () => {
  const startedAt = performance.now();
  expect(await shell('sleep 60 & wait', { limitMs: 200 })).toMatchObject({ late: true });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

test('a signal ends a command with all that it started', async () => {
  const controller = new AbortController();
  const startedAt = performance.now();
  setTimeout(() => controller.abort(), 200);
  await expect(shell('sleep 60 | sleep 60', { signal: controller.signal })).rejects.toThrow(Stopped);
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

test('nothing starts after the signal', async () => {
  await expect(shell('echo started', { signal: AbortSignal.abort() })).rejects.toThrow(Stopped);
});
