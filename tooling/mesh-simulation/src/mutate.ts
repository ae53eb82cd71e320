// pnpm simulate:mutations: makes each error of the list in a copy of the sources, and demands that the simulation finds it.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATIONS, type Mutation } from './mutations.ts';

const help = `pnpm simulate:mutations: whether the simulation finds errors that are put into the code.

  --histories N   within how many histories each must be found; default 1500
  --seed N        the first seed; default 1
  --only NAME     only errors whose name contains this
  --workers N     copies at a time; default 2

Exits with 1 when one is not found, or does not fit the code any more.`;

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1500' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    workers: { type: 'string', default: '2' },
    help: { type: 'boolean' },
  },
});

const root = fileURLToPath(new URL('../../../', import.meta.url));
const MAIN = 'tooling/mesh-simulation/src/main.ts';
const LEFT_OUT = new Set(['dist', 'test', 'coverage', '.turbo']);
const LOADER = ['--conditions=@meshforge/source', '--import', import.meta.resolve('tsx')];

if (values.help === true) process.stdout.write(`${help}\n`);
else process.exitCode = (await runAll(MUTATIONS.filter(({ name }) => name.includes(values.only)))) ? 0 : 1;

/** @returns whether all were found */
async function runAll(mutations: readonly Mutation[]): Promise<boolean> {
  const left = [...mutations];
  const missed: string[] = [];
  const work = async (): Promise<void> => {
    const copy = copyOfSources();
    try {
      for (let mutation = left.shift(); mutation !== undefined; mutation = left.shift()) {
        const { isFound, text } = await run(copy, mutation);
        if (!isFound) missed.push(mutation.name);
        process.stdout.write(`${isFound ? 'found ' : 'MISSED'} ${mutation.name}: ${text}\n`);
      }
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: Number(values.workers) }, work));
  const found = mutations.length - missed.length;
  process.stdout.write(
    `${found} of ${mutations.length} errors found${missed.map((name) => `\n  missed: ${name}`).join('')}\n`,
  );
  return missed.length === 0;
}

async function run(copy: string, { file, from, to }: Mutation): Promise<{ isFound: boolean; text: string }> {
  const path = join(copy, file);
  const before = readFileSync(path, 'utf8');
  const places = before.split(from).length - 1;
  if (places !== 1)
    return { isFound: false, text: `${file} has its text ${places} times, expected once: the code has changed` };
  writeFileSync(
    path,
    before.replace(from, () => to),
  );
  try {
    const { failed, output } = await simulate(copy);
    const lines = output.split('\n');
    const at = lines.indexOf('breaches:');
    if (failed && at !== -1)
      return { isFound: true, text: `${histories(output)}, ${lines[at + 1]?.trim().slice(0, 160)}` };
    // An end of another kind is no finding.
    return {
      isFound: false,
      text: failed ? `it does not run: ${output.slice(-400)}` : `nothing in ${histories(output)}`,
    };
  } finally {
    writeFileSync(path, before);
  }
}

function histories(output: string): string {
  return /(\d+ histories) from/.exec(output)?.[1] ?? 'no histories';
}

function simulate(copy: string): Promise<{ failed: boolean; output: string }> {
  const args = ['--seed', values.seed, '--histories', values.histories, '--workers', '1', '--shrink', 'no'];
  return new Promise((resolve) => {
    execFile(process.execPath, [...LOADER, join(copy, MAIN), ...args], { cwd: copy }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: stdout + stderr });
    });
  });
}

/** The sources of all packages, with the dependencies of this tree. */
function copyOfSources(): string {
  const copy = mkdtempSync(join(tmpdir(), 'meshforge-mutations-'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const group of ['packages', 'apps', 'tooling']) {
    for (const name of readdirSync(join(root, group))) copyPackage(join(root, group, name), join(copy, group, name));
  }
  return copy;
}

function copyPackage(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, {
    recursive: true,
    // Workspace packages are linked by relative paths, which lead to the copies.
    verbatimSymlinks: true,
    filter: (path) => !LEFT_OUT.has(basename(path)) || relative(from, path).startsWith('src'),
  });
}
