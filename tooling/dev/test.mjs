// npm test: every check of the repository, from a fresh clone, with nothing but Node and npm. Built-ins only.
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { checksFor, inTemporaryDirectory } from './lib/checks.mjs';
import { Stopped } from './lib/command.mjs';
import { onStop } from './lib/interruption.mjs';
import { requireNode } from './lib/node-version.mjs';
import { closingLine, ONE_FAILED, sum } from './lib/tally.mjs';

const help = `npm test: install, build, lint, typecheck, house rules, knip, format, all tests, the smoke checks, the image steps.

  npm test                                    everything; the last line counts what passed and what failed
  npm test -- packages/protocol/test          only the tests whose path contains this text

Needs nothing that runs already: tests start servers of their own on free ports.`;

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * @param {readonly string[]} filters
 * @param {AbortSignal} signal
 */
async function test(filters, signal) {
  /** @type {{ name: string, count: import('./lib/tally.mjs').Count, seconds: string }[]} */
  const results = [];
  await inTemporaryDirectory(async (directory) => {
    for (const { name, run, stopsAll } of checksFor(filters)) {
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
const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  console.log(help);
} else {
  process.chdir(root);
  try {
    process.exitCode = await test(args, onStop({ impatientCode: 130 }));
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    console.log('stopped');
    process.exitCode = 130;
  }
}
