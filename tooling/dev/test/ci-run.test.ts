// Hunts: a failure that CI does not report, because only the last command counts.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const script = new URL('../../../.ci/run', import.meta.url).pathname;

/** Runs the script with an `npm` that counts what it is given for each command, and ends with 1 where that says so. */
function run(counts: Readonly<Record<'test' | 'test:all', string | undefined>>): {
  status: number | null;
  last: string;
} {
  const root = mkdtempSync(join(tmpdir(), 'ci-run-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, '.ci'));
  copyFileSync(script, join(root, '.ci/run'));
  const cases = Object.entries(counts).map(([command, line]) => {
    const counted = line === undefined ? 'exit 1' : `echo '${line}' >> "$MESHFORGE_TALLY"`;
    return `*" ${command} ") ${counted}; case '${line ?? ''}' in *' 0 failed') ;; *) exit 1 ;; esac ;;`;
  });
  const npm = join(root, 'npm');
  writeFileSync(npm, `#!/bin/sh\ncase " $* " in\n${cases.join('\n')}\nesac\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${root}:${process.env['PATH'] ?? ''}` };
  const { status, stdout } = spawnSync('bash', [join(root, '.ci/run')], { encoding: 'utf8', env });
  return { status, last: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

test('the last line is the sum of both commands, and the code is 0', () => {
  const counts = { test: '2875 passed, 0 failed', 'test:all': '300 passed, 0 failed' };
  expect(run(counts)).toEqual({ status: 0, last: '3175 passed, 0 failed' });
});

test.each(['test', 'test:all'] as const)(
  'a failure of npm %s counts, and the other command runs all the same',
  (failing) => {
    const counts = { test: '5 passed, 0 failed', 'test:all': '6 passed, 0 failed', [failing]: '4 passed, 2 failed' };
    const { status, last } = run(counts);
    expect(status).toBe(1);
    expect(last).toBe(failing === 'test' ? '10 passed, 2 failed' : '9 passed, 2 failed');
  },
);

test('a command that ends without counting has failed', () => {
  const counts = { test: undefined, 'test:all': '6 passed, 0 failed' };
  expect(run(counts)).toEqual({ status: 1, last: '6 passed, 1 failed' });
});
