// Hunts bytes from the wire that throw, hang, or get through where they must not; `pnpm fuzz` hunts longer.
import { describe, expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { fuzz } from './fuzzer.ts';
import { isKnown } from './known-findings.ts';
import { textOf } from './readable.ts';
import { must, type Target } from './target.ts';
import { TARGETS } from './targets.ts';

const INPUTS = 20_000;

describe('nothing that comes over the wire', () => {
  test.each(TARGETS.map((target) => [target.name, target] as const))('I8: breaks %s', async (_, target) => {
    // The same for everybody: `pnpm fuzz` draws others.
    const seed = 14;
    const { findings } = await fuzz(target, { inputs: Math.ceil(INPUTS / TARGETS.length), seed });
    const fresh = findings.filter((finding) => !isKnown(finding));
    const shown = fresh.map(({ input, what }) => `${what}: ${JSON.stringify(Buffer.from(input).toString('latin1'))}`);
    expect(shown, `seed ${seed}`).toEqual([]);
  });
});

describe('the fuzzer', () => {
  const planted = (name: string, run: Target['run']): Target => ({
    name,
    seeds: ['{"entity_id":"sku-1","data":{}}'],
    run,
  });

  test('finds what throws, once for each place, and shows the smallest input', async () => {
    const target = planted('throws', (input) => {
      must(!textOf(input).includes('__proto__'), 'a key got through', input.length);
      must(input.length < 60, 'it is long', input.length);
    });
    const { findings } = await fuzz(target, { inputs: 3_000, seed: 1 });
    expect(findings.map(({ what }) => what).sort()).toEqual(['a key got through: 9', 'it is long: 60']);
    const key = findings.find(({ what }) => what.startsWith('a key'));
    expect(key && textOf(key.input)).toBe('__proto__');
  });

  test('finds what takes too long', async () => {
    const target = planted('slow', (input) => {
      const until = performance.now() + (input.length > 40 ? 600 : 0);
      while (performance.now() < until);
    });
    const { findings } = await fuzz(target, { inputs: 6, seed: 1 });
    expect(findings).toMatchObject([{ what: 'takes more than 500 ms' }]);
  });

  test('draws the same inputs from the same seed', async () => {
    const inputsOf = async (seed: number): Promise<string[]> => {
      const inputs: string[] = [];
      await fuzz(
        planted('none', (input) => void inputs.push(textOf(input))),
        { inputs: 200, seed },
      );
      return inputs;
    };
    const [once, again, others] = await Promise.all([inputsOf(1), inputsOf(1), inputsOf(2)]);
    expect(again).toEqual(once);
    expect(others).not.toEqual(once);
  });

  test.each([
    [['--inputs', '0'], '--inputs is 0'],
    [['--seed', 'x'], '--seed is x'],
    [['--only', 'nothing'], 'there is no target nothing'],
    [['--bogus'], "Unknown option '--bogus'"],
  ])('refuses %j', (args, reason) => {
    const parsed = parseCommandLine(args);
    expect(parsed.kind).toBe('wrong');
    expect(parsed).toHaveProperty('text', expect.stringContaining(reason));
  });
});
