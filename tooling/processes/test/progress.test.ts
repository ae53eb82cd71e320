// Hunts: work that keeps people waiting without a word, and words about work that is over.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { tellWhileSlow } from '../src/progress.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('work under two seconds is silent, longer work tells after two and then every five', async () => {
  const lines: string[] = [];
  const work = new Promise<string>((resolve) => setTimeout(() => resolve('done'), 12_500));
  const told = tellWhileSlow((line) => lines.push(line), 'fetching', work);
  await vi.advanceTimersByTimeAsync(1_900);
  expect(lines).toEqual([]);
  await vi.advanceTimersByTimeAsync(10_200);
  expect(lines).toEqual(['fetching (2 s so far)', 'fetching (7 s so far)', 'fetching (12 s so far)']);
  await vi.advanceTimersByTimeAsync(400);
  expect(await told).toBe('done');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lines).toHaveLength(3);
});

test('after a failure nothing more is told', async () => {
  const lines: string[] = [];
  await expect(
    tellWhileSlow((line) => lines.push(line), 'fetching', Promise.reject(new Error('broken'))),
  ).rejects.toThrow('broken');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lines).toEqual([]);
});
