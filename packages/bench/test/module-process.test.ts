import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runCommand } from '@meshforge/processes';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { moduleProcess } from '../src/module-process.ts';

const timeoutMs = 20_000;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meshforge-bench-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('runs a source through the loader, with the sources of the other packages', async () => {
  const source = join(directory, 'a-service.ts');
  await writeFile(source, 'const said: string = process.argv[2] ?? ""; console.log(said, process.execArgv.join(" "))');
  const { file, args } = moduleProcess(pathToFileURL(source), ['hello']);
  expect(await runCommand(file, args, { timeoutMs })).toMatch(/^hello --conditions=@meshforge\/source --import file:/);
});

test('runs what is built, without a loader, where there is no source', async () => {
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await writeFile(join(directory, 'a-service.js'), 'console.log(process.argv[2], process.execArgv.length)');
  const { file, args } = moduleProcess(pathToFileURL(join(directory, 'a-service.ts')), ['hello']);
  expect(await runCommand(file, args, { timeoutMs })).toBe('hello 0\n');
});
