// What npm test and npm run test:all run, in order. Each entry is one step with its own line and its own time.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.mjs';
import { install, isInstalled } from './install.mjs';
import { pnpm } from './pnpm.mjs';
import { countReport, countVitest, ONE_FAILED, ONE_PASSED } from './tally.mjs';

const minuteMs = 60_000;
const progressReporter = fileURLToPath(new URL('progress-reporter.mjs', import.meta.url));

/**
 * @typedef {import('./tally.mjs').Count} Count
 * @typedef {{ root: string, signal: AbortSignal, directory: string }} Place directory: for reports; removed at the end
 * @typedef {{ name: string, stopsAll?: true, run: (place: Place) => Promise<Count> }} Check stopsAll: nothing can follow its failure
 */

/** @type {Check} */
const installing = {
  name: 'install',
  stopsAll: true,
  run: async ({ root, signal }) => {
    if (isInstalled(root)) return ONE_PASSED;
    return verdict(await install(root, { signal, limitMs: 5 * minuteMs }));
  },
};

/** @type {Check} */
const building = asPnpm('build', ['exec', 'turbo', 'build'], 5);

/**
 * What `npm test` runs, and what it leaves to `npm run test:all`.
 *
 * @type {{ quick: readonly Check[], long: readonly Check[] }}
 */
export const CHECKS = {
  quick: [
    installing,
    building,
    asPnpm('lint', ['exec', 'turbo', 'lint'], 5),
    asPnpm('typecheck', ['exec', 'turbo', 'typecheck'], 5),
    asPnpm('house rules', ['run', 'rules'], 2),
    asPnpm('knip', ['run', 'knip'], 2),
    asPnpm('format', ['run', 'format:check'], 2),
    vitest('quick tests', { only: 'quick' }),
    smoke(),
  ],
  long: [
    installing,
    building,
    vitest('long tests', { only: 'long' }),
    image('@meshforge/inventory'),
    image('@meshforge/lock-manager'),
  ],
};

/**
 * Only the tests, quick and long, whose file matches a filter, and what they need.
 *
 * @param {readonly string[]} filters
 * @returns {readonly Check[]}
 */
export function checksFor(filters) {
  return [installing, building, vitest('tests', { filters })];
}

/**
 * @param {(directory: string) => Promise<void>} work
 */
export async function inTemporaryDirectory(work) {
  const directory = mkdtempSync(join(tmpdir(), 'meshforge-test-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * @param {string} name
 * @param {readonly string[]} args
 * @param {number} limitMinutes
 * @returns {Check}
 */
function asPnpm(name, args, limitMinutes) {
  return {
    name,
    run: async ({ root, signal }) => verdict(await pnpm(root, args, { signal, limitMs: limitMinutes * minuteMs })),
  };
}

/**
 * @param {string} name
 * @param {{ only?: 'quick' | 'long', filters?: readonly string[] }} which see @meshforge/vitest-config
 * @returns {Check}
 */
function vitest(name, { only, filters = [] }) {
  return {
    name,
    run: async ({ root, signal, directory }) => {
      const report = join(directory, 'vitest.json');
      const reporters = ['default', 'json', progressReporter].map((reporter) => `--reporter=${reporter}`);
      const args = ['exec', 'vitest', 'run', ...reporters, `--outputFile.json=${report}`, ...filters];
      const env = { MESHFORGE_TESTS: only };
      const { code } = await pnpm(root, args, { signal, limitMs: 40 * minuteMs, env });
      return countVitest(readIfThere(report), code);
    },
  };
}

/** @returns {Check} */
function smoke() {
  return {
    name: 'smoke checks',
    run: async ({ root, signal, directory }) => {
      const report = join(directory, 'smoke.json');
      const script = join(root, 'tooling/dev/dist/smoke-private-mesh.js');
      const { code } = await runCommand(process.execPath, [script, directory, report], {
        cwd: root,
        signal,
        limitMs: 4 * minuteMs,
      });
      return countReport(readIfThere(report), code);
    },
  };
}

/**
 * The steps of the image of an app, outside Docker, and whether what they leave starts, answers and stops.
 *
 * @param {string} app
 * @returns {Check}
 */
function image(app) {
  return {
    name: `image of ${app}`,
    run: async ({ root, signal, directory }) => {
      const target = join(directory, app.replace('@meshforge/', 'image-'));
      const options = { signal, limitMs: 4 * minuteMs };
      const made = await pnpm(root, ['exec', join(root, 'deploy/image-steps.sh'), app, target], options);
      if (made.code !== 0) return ONE_FAILED;
      const script = join(root, 'tooling/dev/dist/run-image.js');
      return verdict(await runCommand(process.execPath, [script, app, target, directory], { ...options, cwd: root }));
    },
  };
}

/**
 * @param {{ code: number | null, late: boolean }} result
 * @returns {Count}
 */
function verdict({ code, late }) {
  return code === 0 && !late ? ONE_PASSED : ONE_FAILED;
}

/** @param {string} file */
function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
