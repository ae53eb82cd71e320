import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { narrate } from '../lib/narrate.mjs';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a step that takes long shows that it still runs, after two seconds and then every five', async () => {
  const lines: string[] = [];
  const work = narrate((line) => lines.push(line)).step(
    'building',
    () => new Promise((resolve) => setTimeout(resolve, 8_000)),
  );
  await vi.advanceTimersByTimeAsync(8_000);
  await work;
  const titles = lines.map((line) => line.replace(/\d+\.\d/, 'N'));
  expect(titles).toEqual(['· building', '  … building (N s so far)', '  … building (N s so far)', '  done in N s']);
});

test('a step gives what its work gives, and passes its failure on', async () => {
  const narrator = narrate(() => undefined);
  expect(await narrator.step('one', () => Promise.resolve(1))).toBe(1);
  await expect(narrator.step('two', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
});
