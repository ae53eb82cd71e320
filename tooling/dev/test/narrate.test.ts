import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { narrate } from '../lib/narrate.mjs';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const clearLine = '\r\u001B[K';
const durationMs = 13_000;
const lasting = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, durationMs));

/** What was written, with every duration as N. */
function written(isTerminal: boolean): { text: () => string; narrator: ReturnType<typeof narrate> } {
  let all = '';
  const narrator = narrate({ write: (text) => (all += text), isTerminal, columns: 80 });
  return { text: () => all.replaceAll(/\d+\.\d/g, 'N'), narrator };
}

describe('a step', () => {
  test('that takes long shows that it still runs, after two seconds and then every ten', async () => {
    const { text, narrator } = written(false);
    const work = narrator.step('building', lasting, () => 'built');
    await vi.advanceTimersByTimeAsync(durationMs);
    await work;
    expect(text()).toBe('… building (N s so far)\n… building (N s so far)\n✓ built (N s)\n');
  });

  test('that is short is one line', async () => {
    const { text, narrator } = written(false);
    await narrator.step('building', () => Promise.resolve());
    expect(text()).toBe('✓ building (N s)\n');
  });

  test('tells its progress', async () => {
    const { text, narrator } = written(false);
    const work = narrator.step('checking', async (tell) => {
      tell('20 done');
      await lasting();
    });
    await vi.advanceTimersByTimeAsync(durationMs);
    await work;
    expect(text()).toContain('… checking: 20 done (N s so far)\n');
  });

  test('keeps to one line of a terminal, which anything else that is said goes above', async () => {
    const { text, narrator } = written(true);
    const work = narrator.step('building', lasting);
    narrator.say('a warning');
    await vi.advanceTimersByTimeAsync(durationMs);
    await work;
    const lines = text().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]?.endsWith(`${clearLine}a warning`)).toBe(true);
    expect(lines[1]?.endsWith(`${clearLine}✓ building (N s)`)).toBe(true);
  });

  test('gives what its work gives, and passes its failure on', async () => {
    const { text, narrator } = written(false);
    expect(await narrator.step('one', () => Promise.resolve(1))).toBe(1);
    await expect(narrator.step('two', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(text()).toBe('✓ one (N s)\n✗ two (N s)\n');
  });
});

test('a detail is said with --verbose only', () => {
  const lines: string[] = [];
  narrate({ write: (text) => lines.push(text) }).detail('unsaid');
  narrate({ write: (text) => lines.push(text), verbose: true }).detail('said');
  expect(lines).toEqual(['said\n']);
});
