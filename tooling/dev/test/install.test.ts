// Hunts for a stale node_modules that passes for a current one.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { isInstalled, stampInstalled } from '../lib/install.mjs';
import { pnpmVersion } from '../lib/pnpm.mjs';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'install-'));
  const directory = root;
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const folder of ['node_modules', 'packages/one', 'apps', 'tooling']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', 'packages/one/package.json']) {
    writeFileSync(join(root, file), file);
  }
});

describe('dependencies', () => {
  test('are missing in a fresh clone', () => {
    expect(isInstalled(root)).toBe(false);
  });

  test('are current after an install', () => {
    stampInstalled(root);
    expect(isInstalled(root)).toBe(true);
  });

  test.each(['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', 'packages/one/package.json'])(
    'are stale once %s changes',
    (file) => {
      stampInstalled(root);
      appendFileSync(join(root, file), ' ');
      expect(isInstalled(root)).toBe(false);
    },
  );

  test('are stale once a package is added', () => {
    stampInstalled(root);
    mkdirSync(join(root, 'tooling/two'));
    writeFileSync(join(root, 'tooling/two/package.json'), '{}');
    expect(isInstalled(root)).toBe(false);
  });

  test('are missing once node_modules is gone', () => {
    stampInstalled(root);
    rmSync(join(root, 'node_modules'), { recursive: true });
    expect(isInstalled(root)).toBe(false);
  });
});

test('the version of pnpm is that of packageManager, without its hash', () => {
  expect(pnpmVersion('pnpm@10.34.9+sha512.f49b')).toBe('10.34.9');
  expect(() => pnpmVersion('npm@11.0.0')).toThrow('expected pnpm@x.y.z');
});
