import { expect, test } from 'vitest';
import { simulate } from '../src/simulate.ts';

const MINUTES = 10;

test(
  'a thousand histories',
  async () => {
    const said: string[] = [];
    const { seed } = await simulate({
      seed: Math.floor(Date.now() / 1_000),
      histories: 1_000,
      seconds: Infinity,
      workers: 2,
      shrinks: true,
      onProgress: (text) => said.push(text),
    });
    expect(seed, `said: ${said.join('\n')}`).toBeUndefined();
  },
  MINUTES * 60_000,
);
