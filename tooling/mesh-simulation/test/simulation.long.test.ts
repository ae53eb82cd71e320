import { expect, test } from 'vitest';
import { simulate } from '../src/simulate.ts';

const MINUTES = 10;

test(
  'five hundred histories',
  async () => {
    const said: string[] = [];
    const { seed } = await simulate({
      // The same histories each time: `pnpm simulate` draws others.
      seed: 1,
      histories: 500,
      seconds: Infinity,
      workers: 2,
      shrinks: true,
      onProgress: (text) => said.push(text),
    });
    expect(seed, `said: ${said.join('\n')}`).toBeUndefined();
  },
  MINUTES * 60_000,
);
