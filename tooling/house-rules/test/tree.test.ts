import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readTree } from '../src/tree.ts';

test('a tree is every text file that .gitignore does not name', () => {
  const root = mkdtempSync(join(tmpdir(), 'house-rules-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const files = {
    '.gitignore': '# built\nnode_modules/\ndist/\n*.tgz\n',
    '.git/HEAD': 'ref',
    'a.ts': 'a',
    'packages/one/src/b.ts': 'b',
    'packages/one/dist/b.js': 'built',
    'packages/one/node_modules/c/index.js': 'c',
    'packages/one/one.tgz': 'archive',
    'picture.bin': 'x\0y',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  expect(
    readTree(root)
      .map(({ path }) => path)
      .toSorted(),
  ).toEqual(['.gitignore', 'a.ts', 'packages/one/src/b.ts']);
});
