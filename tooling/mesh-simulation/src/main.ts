// pnpm simulate: runs histories of the whole mesh, one seed each, and prints the shortest one that fails.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runHistory } from './run-history.ts';
import type { Script } from './script.ts';
import { showFailure } from './show.ts';
import { simulate } from './simulate.ts';

const help = `pnpm simulate: the whole mesh in simulated time, under faults.

  --seed N        the first seed; default: by the clock
  --histories N   how many, one seed each; default: as many as the time allows
  --seconds S     how long; default 60
  --workers N     processes that run histories; default 2
  --script FILE   one history, as JSON, instead of drawn ones
  --shrink no     prints a failing history as it was drawn

Exits with 1 when a history fails.`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string' },
    seconds: { type: 'string' },
    workers: { type: 'string' },
    script: { type: 'string' },
    shrink: { type: 'string' },
    help: { type: 'boolean' },
  },
});

if (values.help === true) {
  process.stdout.write(`${help}\n`);
} else if (values.script !== undefined) {
  const ran = await runHistory(JSON.parse(readFileSync(values.script, 'utf8')) as Script);
  process.stdout.write(`${ran.breaches.length === 0 ? 'nothing is wrong' : showFailure(ran, ran)}\n`);
  process.exitCode = ran.breaches.length === 0 ? 0 : 1;
} else {
  const seed = whole(values.seed) ?? Math.floor(Date.now() / 1_000);
  const found = await simulate({
    seed,
    histories: whole(values.histories) ?? Infinity,
    seconds: whole(values.seconds) ?? (values.histories === undefined ? 60 : Infinity),
    workers: whole(values.workers) ?? 2,
    shrinks: values.shrink !== 'no',
    onProgress: (text) => process.stdout.write(`${text}\n`),
  });
  process.exitCode = found.seed === undefined ? 0 : 1;
}

function whole(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`${text}: expected a whole number`);
  return number;
}
