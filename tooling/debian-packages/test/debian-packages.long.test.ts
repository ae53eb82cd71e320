// Hunts: a mirror that hangs the caller, a cache that still asks the network, half a directory taken for a whole one, and
// programs that do not find their libraries. The packages are real where the network lets them.
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { runCommand } from '@meshforge/processes';
import { expect, onTestFinished, test } from 'vitest';
import { buildIntoPlace, findProgram, programEnvironment, unpackDebianPackages } from '../src/index.ts';

const elsewhere = 'not a Debian or a system made of one';

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'debian-packages-test-'));
  onTestFinished(async () => await rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** Until the test ends, apt has one source, and reaches it only through somebody who accepts and stays silent. */
async function silenceMirrors(): Promise<void> {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const directory = await temporaryDirectory();
  const configuration = join(directory, 'apt.conf');
  const sources = join(directory, 'sources.list');
  const proxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const settings = {
    'Acquire::http::Proxy': proxy,
    'Acquire::https::Proxy': proxy,
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
  };
  await writeFile(sources, 'deb http://mirror.invalid/debian stable main\n');
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
  await writeFile(configuration, lines.join(''));
  const before = process.env['APT_CONFIG'];
  process.env['APT_CONFIG'] = configuration;
  onTestFinished(() => {
    if (before === undefined) delete process.env['APT_CONFIG'];
    else process.env['APT_CONFIG'] = before;
  });
}

async function outcomeOf(work: () => Promise<string>): Promise<string> {
  return await work().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
}

test('a program comes with its libraries, once; then the cache gives it without a network', async () => {
  const env = { PATH: '', XDG_CACHE_HOME: await temporaryDirectory() };
  const wanted = { program: 'redis-server', packages: ['redis-server'], systemDirectories: [], env };
  const version = async (): Promise<string> => {
    const found = await findProgram(wanted);
    expect(found.root).toContain(env.XDG_CACHE_HOME);
    return await runCommand(found.file, ['--version'], { timeoutMs: 10_000, env: found.env });
  };
  const first = await outcomeOf(version);
  const unreachable = 'apt-get (update|install): .*(Could not|Cannot|Failed to fetch|failed|took longer)';
  expect(first).toMatch(new RegExp(`^Redis server v=|(${unreachable}|${elsewhere})`, 's'));
  if (!first.startsWith('Redis')) return;
  await silenceMirrors();
  expect(await version()).toBe(first);
});

test('a mirror that accepts and stays silent is given up within seconds, with one line, and leaves nothing', async () => {
  await silenceMirrors();
  const cache = await temporaryDirectory();
  const env = { XDG_CACHE_HOME: cache };
  const said = await outcomeOf(async () => await unpackDebianPackages({ packages: ['redis-server'], env }));
  expect(said).toMatch(new RegExp(`^(apt-get update: .*|${elsewhere})$`));
  const left = await readdir(cache, { recursive: true, withFileTypes: true });
  expect(left.filter((entry) => !entry.isDirectory()).map((entry) => entry.name)).toEqual([]);
});

test('a package that does not exist is named', { timeout: 60_000 }, async () => {
  const env = { XDG_CACHE_HOME: await temporaryDirectory() };
  const said = await outcomeOf(async () => await unpackDebianPackages({ packages: ['no-such-package'], env }));
  expect(said).toMatch(new RegExp(`no-such-package|apt-get update: |${elsewhere}`));
});

test('a program of the machine is preferred to a download', async () => {
  await silenceMirrors();
  const directory = await temporaryDirectory();
  const file = join(directory, 'redis-server');
  await writeFile(file, '#!/bin/sh\n');
  await chmod(file, 0o755);
  const env = { PATH: ['relative', directory].join(delimiter), XDG_CACHE_HOME: await temporaryDirectory() };
  const wanted = { program: 'redis-server', packages: ['redis-server'], systemDirectories: [], env };
  expect(await findProgram(wanted)).toEqual({ file, env });
});

test('the environment names the directories of programs and libraries that are there, newest PostgreSQL first', async () => {
  const root = await temporaryDirectory();
  const directories = [
    'usr/lib/postgresql/9/bin',
    'usr/lib/postgresql/15/bin',
    'usr/lib/x86_64-linux-gnu',
    'usr/lib/any',
  ];
  for (const directory of directories) await mkdir(join(root, directory), { recursive: true });
  const { PATH, LD_LIBRARY_PATH, HOME } = await programEnvironment(root, { PATH: 'before', HOME: 'kept' });
  expect(PATH?.split(delimiter).slice(0, 2)).toEqual(
    [15, 9].map((major) => join(root, `usr/lib/postgresql/${major}/bin`)),
  );
  expect(PATH?.split(delimiter).at(-1)).toBe('before');
  expect(LD_LIBRARY_PATH?.split(delimiter)).toEqual(
    ['usr/lib/x86_64-linux-gnu', 'usr/lib', 'lib'].map((path) => join(root, path)),
  );
  expect(HOME).toBe('kept');
});

test('of two who build the same directory at once, the first one stays, whole', async () => {
  const parent = await temporaryDirectory();
  const build = async (content: string): Promise<string> =>
    await buildIntoPlace(parent, async (directory) => {
      const built = join(directory, 'built');
      await mkdir(built);
      await writeFile(join(built, content), content);
      return { built, name: 'result' };
    });
  const places = await Promise.all([build('a'), build('b')]);
  expect(places.map((place) => dirname(place))).toEqual([parent, parent]);
  expect(await readdir(parent)).toEqual(['result']);
  expect(await readdir(join(parent, 'result'))).toHaveLength(1);
});
