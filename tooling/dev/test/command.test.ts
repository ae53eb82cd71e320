// Hunts for processes that outlive a stop.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
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
  expect(await shell('sleep 60 & wait', { limitMs: 200 })).toMatchObject({ late: true });
});

test('a signal ends a command with all that it started', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 200);
  await expect(shell('sleep 60 | sleep 60', { signal: controller.signal })).rejects.toThrow(Stopped);
});

test('a stop waits for what the command leaves behind to end in its own time', async () => {
  const controller = new AbortController();
  const directory = mkdtempSync(join(tmpdir(), 'command-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  // The shell ends at once; what it started needs a moment.
  const late = `(trap 'sleep 0.5; echo done > ${directory}/done; exit' TERM; while :; do sleep 0.1; done) > /dev/null 2>&1 &`;
  setTimeout(() => controller.abort(), 300);
  await expect(shell(`${late} wait`, { signal: controller.signal })).rejects.toThrow(Stopped);
  expect(existsSync(join(directory, 'done'))).toBe(true);
});

test('nothing starts after the signal', async () => {
  await expect(shell('echo started', { signal: AbortSignal.abort() })).rejects.toThrow(Stopped);
});
