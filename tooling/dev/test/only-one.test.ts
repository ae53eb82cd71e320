// Hunts for two servers on one data directory.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CleanUp } from '../src/clean-up.ts';
import { holdAlone } from '../src/only-one.ts';

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'only-one-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function hold(directory: string) {
  const held = await holdAlone(directory);
  if ('heldBy' in held) throw new Error(held.heldBy);
  return held;
}

test('a second one is told who has the directory', async () => {
  const directory = temporaryDirectory();
  const first = await hold(directory);
  expect(await holdAlone(directory)).toEqual({ heldBy: `process ${process.pid}` });
  first.describe('nats://127.0.0.1:4222');
  expect(await holdAlone(directory)).toEqual({ heldBy: `process ${process.pid}, nats://127.0.0.1:4222` });
  await first.release();
});

test('a released directory is free', async () => {
  const directory = temporaryDirectory();
  await (await hold(directory)).release();
  await (await hold(directory)).release();
});

test('what a killed process left is no obstacle', async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'running.sock'), '');
  await (await hold(directory)).release();
});

test('a clean-up undoes the last thing first, all of it, and tells what failed', async () => {
  const done: number[] = [];
  const cleanUp = new CleanUp();
  cleanUp.add(async () => void done.push(1));
  cleanUp.add(() => Promise.reject(new Error('two')));
  cleanUp.add(async () => void done.push(3));
  expect(await cleanUp.run()).toEqual([new Error('two')]);
  expect(done).toEqual([3, 1]);
  expect(await cleanUp.run()).toEqual([]);
});
