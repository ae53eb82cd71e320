// Hunts for rules that catch nothing, or that catch what is right.
import { describe, expect, test } from 'vitest';
import { BANS } from '../src/bans.ts';
import { checkBans } from '../src/check-bans.ts';
import { checkDirections } from '../src/check-directions.ts';
import { DIRECTIONS } from '../src/directions.ts';
import type { SourceFile, Violation } from '../src/rule.ts';
import { EXAMPLES } from './examples.ts';

const ids = [...DIRECTIONS, ...BANS].map(({ id }) => id);

function violationsOf(rule: string, file: SourceFile): Violation[] {
  const directions = DIRECTIONS.filter(({ id }) => id === rule);
  const bans = BANS.filter(({ id }) => id === rule);
  return [...checkDirections(directions, [file]), ...checkBans(bans, [file])];
}

test('every rule has a name of its own, and examples', () => {
  expect(new Set(ids).size).toBe(ids.length);
  expect(Object.keys(EXAMPLES).toSorted()).toEqual(ids.toSorted());
});

test('every rule says what to do instead', () => {
  expect([...DIRECTIONS, ...BANS].filter(({ instead }) => instead.length < 20)).toEqual([]);
});

describe.each(ids)('%s', (rule) => {
  const { broken, fine } = EXAMPLES[rule] ?? { broken: [], fine: [] };

  test('catches what breaks it', () => {
    expect(broken.length).toBeGreaterThan(0);
    expect(broken.filter((file) => violationsOf(rule, file).length === 0)).toEqual([]);
  });

  test('lets pass what does not', () => {
    expect(fine.length).toBeGreaterThan(0);
    expect(fine.flatMap((file) => violationsOf(rule, file))).toEqual([]);
  });
});

test('a violation names the file, the line and the replacement', () => {
  const file = { path: 'packages/runtime/src/a.ts', text: "import { a } from './a.ts';\n\nconsole.log(a);\n" };
  expect(violationsOf('no-console', file)).toEqual([
    {
      rule: 'no-console',
      path: 'packages/runtime/src/a.ts',
      line: 3,
      found: 'console.',
      instead: 'use the logger of the options; protocol answers with values',
    },
  ]);
});

test('a file that is too long is told its first line too many', () => {
  const file = { path: 'packages/runtime/src/a.ts', text: 'x;\n'.repeat(510) };
  expect(violationsOf('short-files', file)).toMatchObject([{ line: 501, found: 'this line' }]);
});

test('a dependency is found at its line in the manifest', () => {
  const text = '{\n  "dependencies": {\n    "zod": "*",\n    "pino": "*"\n  }\n}\n';
  expect(violationsOf('protocol-depends-on-nothing', { path: 'packages/protocol/package.json', text })).toMatchObject([
    { line: 4, found: 'dependency on pino' },
  ]);
});
