// npm test and npm run test:all: every check of the repository, from a fresh clone, with nothing but Node and npm.
// Built-ins only.
import { appendFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { CHECKS, checksFor, inTemporaryDirectory } from './lib/checks.mjs';
import { Stopped } from './lib/command.mjs';
import { onStop } from './lib/interruption.mjs';
import { requireNode } from './lib/node-version.mjs';
import { closingLine, ONE_FAILED, sum } from './lib/tally.mjs';

const quickHelp = `npm test: install, build, lint, typecheck, house rules, knip, format, the quick tests, the smoke checks.

  npm test                                    what must hold, in about 4 minutes on a quiet machine with 2 cores
  npm test -- packages/protocol/test          only the tests, quick and long, whose path contains this text
  npm run test:all                            what npm test leaves out; see npm run test:all -- --help
`;
const longHelp = `npm run test:all: all that npm test leaves out. Run both to have run everything.

  npm run test:all                            in about 10 minutes on a quiet machine with 2 cores: the long tests
                                              (clusters, kills, other systems, downloads), the steps of both images
  npm run test:all -- --help                  this text
`;
const commonHelp = `
Needs nothing that runs already: tests start servers of their own on free ports. The last line counts what passed and what
failed. Exit codes: 0 nothing failed, 1 something did, 130 interrupted.`;

const durations = {
  quick: 'About 4 minutes on a quiet machine with 2 cores. `npm run test:all` runs what this leaves out.',
  long: 'About 10 minutes on a quiet machine with 2 cores. This is what `npm test` leaves out.',
};

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * @param {readonly import('./lib/checks.mjs').Check[]} checks
 * @param {AbortSignal} signal
 */
async function test(checks, signal) {
  /** @type {{ name: string, count: import('./lib/tally.mjs').Count, seconds: string }[]} */
  const results = [];
  await inTemporaryDirectory(async (directory) => {
    for (const { name, run, stopsAll } of checks) {
      console.log(`\n── ${name}`);
      const startedAt = performance.now();
      const count = await run({ root, signal, directory }).catch(failed);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      results.push({ name, count, seconds });
      console.log(`── ${name}: ${closingLine(count)} (${seconds} s)`);
      if (stopsAll === true && count.failed > 0) break;
    }
  });
  const total = sum(results.map(({ count }) => count));
  console.log('\nTime of each step:');
  for (const { name, count, seconds } of results) {
    console.log(`${count.failed === 0 ? '✓' : '✗'} ${seconds.padStart(7)} s  ${name}: ${closingLine(count)}`);
  }
  // Once more at the end, where it is looked for.
  const why = results.flatMap(({ count }) => count.why ?? []);
  if (why.length > 0) console.log(`\nFailed:\n${why.join('\n')}`);
  if (tally !== undefined) appendFileSync(tally, `${closingLine(total)}\n`);
  console.log(`\n${closingLine(total)}`);
  return total.failed === 0 ? 0 : 1;
}

/** A step that could not even be tried has failed. @param {unknown} error */
function failed(error) {
  if (error instanceof Stopped) throw error;
  console.error(error instanceof Error ? error.message : error);
  return ONE_FAILED;
}

requireNode(root);
/** Where .ci/run adds up the closing lines of both commands; nothing that runs from here shall add to it. */
const tally = process.env['MESHFORGE_TALLY'];
delete process.env['MESHFORGE_TALLY'];
const args = process.argv.slice(2);
const isLong = args.includes('--long');
const filters = args.filter((arg) => arg !== '--long');
if (filters.includes('--help') || filters.includes('-h')) {
  console.log(isLong ? longHelp + commonHelp : quickHelp + commonHelp);
} else {
  process.chdir(root);
  if (filters.length === 0) console.log(isLong ? durations.long : durations.quick);
  const checks = filters.length > 0 ? checksFor(filters) : isLong ? CHECKS.long : CHECKS.quick;
  try {
    process.exitCode = await test(checks, onStop({ impatientCode: 130 }));
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    console.log('stopped');
    process.exitCode = 130;
  }
}
