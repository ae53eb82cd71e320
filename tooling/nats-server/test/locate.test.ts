// Hunts: a server that is taken although it is too old, a setting that is silently passed over, a half-written cache, and a
// failure that leaves people without the next step.
import { access, chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { NatsServerNotFound } from '../src/errors.ts';
import { fetchIntoCache } from '../src/fetch-into-cache.ts';
import { locateNatsServer, type LocateOptions } from '../src/locate-nats-server.ts';
import { failingSource, FakeSource, writeFakeServer } from './fake-server.ts';
import { temporaryDirectory } from './temporary-directories.ts';

const cacheName = `nats-server-${process.platform}-${process.arch}`;

/** A machine with nothing on it: no server on PATH, an empty cache, no source. */
async function bareMachine() {
  const root = await temporaryDirectory();
  const env = { PATH: join(root, 'path'), XDG_CACHE_HOME: join(root, 'cache'), HOME: root };
  const options = { env, systemDirectories: [join(root, 'system')], sources: [] } satisfies LocateOptions;
  return { root, env, options, cached: join(root, 'cache', 'meshforge', cacheName) };
}

async function failureOf(options: LocateOptions): Promise<NatsServerNotFound> {
  const outcome: unknown = await locateNatsServer(options).catch((error: unknown) => error);
  if (!(outcome instanceof NatsServerNotFound))
    throw new Error(`expected NatsServerNotFound, got ${JSON.stringify(outcome)}`);
  return outcome;
}

test('MESHFORGE_NATS_SERVER wins over PATH and cache', async () => {
  const { root, env, options, cached } = await bareMachine();
  await writeFakeServer(join(env.PATH, 'nats-server'), '2.16.0');
  await writeFakeServer(cached, '2.17.0');
  const named = await writeFakeServer(join(root, 'mine', 'my-server'), '2.14.0');
  const located = await locateNatsServer({ ...options, env: { ...env, MESHFORGE_NATS_SERVER: named } });
  expect(located).toEqual({ path: named, version: '2.14.0', source: 'MESHFORGE_NATS_SERVER' });
});

test('a MESHFORGE_NATS_SERVER that does not exist is an error, even where PATH has a server', async () => {
  const { root, env, options } = await bareMachine();
  await writeFakeServer(join(env.PATH, 'nats-server'), '2.16.0');
  const absent = join(root, 'nowhere', 'nats-server');
  const error = await failureOf({ ...options, env: { ...env, MESHFORGE_NATS_SERVER: absent } });
  expect(error.message).toContain(`MESHFORGE_NATS_SERVER: ${absent} does not exist`);
});

test.each([
  {
    what: 'too old',
    content: '#!/bin/sh\necho "nats-server: v2.10.0"\n',
    mode: 0o755,
    says: 'is version 2.10.0, older than 2.14.0',
  },
  {
    what: 'a pre-release of the minimum',
    content: '#!/bin/sh\necho "nats-server: v2.14.0-RC.1"\n',
    mode: 0o755,
    says: 'older than',
  },
  {
    what: 'something else',
    content: '#!/bin/sh\necho hello\n',
    mode: 0o755,
    says: 'is not a nats-server: --version answered "hello"',
  },
  { what: 'not executable', content: 'text', mode: 0o644, says: 'is not an executable file' },
  { what: 'without its interpreter', content: '#!/nowhere/sh\n', mode: 0o755, says: 'is built for another system' },
  { what: 'failing', content: '#!/bin/sh\necho broken >&2; exit 3\n', mode: 0o755, says: 'broken' },
])('a MESHFORGE_NATS_SERVER that is $what is a clear error', async ({ content, mode, says }) => {
  const { root, env, options } = await bareMachine();
  const path = join(root, 'named-server');
  await writeFile(path, content);
  await chmod(path, mode);
  const error = await failureOf({ ...options, env: { ...env, MESHFORGE_NATS_SERVER: path } });
  expect(error.message).toContain(says);
  expect(error.message).toContain('unset it');
  expect(error.attempts).toHaveLength(1);
});

test('PATH comes before the system directories, and those before the cache', async () => {
  const { env, options, cached } = await bareMachine();
  await writeFakeServer(cached, '2.17.0');
  expect(await locateNatsServer(options)).toEqual({ path: cached, version: '2.17.0', source: 'cache' });
  const inSystem = await writeFakeServer(join(options.systemDirectories[0] ?? '', 'nats-server'), '2.15.0');
  expect(await locateNatsServer(options)).toEqual({ path: inSystem, version: '2.15.0', source: 'installed' });
  const onPath = await writeFakeServer(join(env.PATH, 'nats-server'), '2.14.3');
  expect(await locateNatsServer(options)).toEqual({ path: onPath, version: '2.14.3', source: 'installed' });
});

test('an installed server that is too old is passed over for the cache, and named when nothing else is left', async () => {
  const { env, options, cached } = await bareMachine();
  await writeFakeServer(join(env.PATH, 'nats-server'), '2.10.0');
  const error = await failureOf(options);
  expect(error.message).toContain('installed: ');
  expect(error.message).toContain('is version 2.10.0, older than 2.14.0');
  await writeFakeServer(cached, '2.15.1');
  expect(await locateNatsServer(options)).toMatchObject({ source: 'cache' });
});

test('without XDG_CACHE_HOME the cache is below HOME', async () => {
  const { root, env, options } = await bareMachine();
  const cached = await writeFakeServer(join(root, '.cache', 'meshforge', cacheName), '2.15.1');
  const located = await locateNatsServer({ ...options, env: { ...env, XDG_CACHE_HOME: undefined } });
  expect(located.path).toBe(cached);
});

test('a fetched server is in the cache the next time', async () => {
  const { options, cached } = await bareMachine();
  const source = new FakeSource('2.15.1');
  const lines: string[] = [];
  const first = await locateNatsServer({ ...options, sources: [source], onProgress: (line) => lines.push(line) });
  expect(first).toEqual({ path: cached, version: '2.15.1', source: 'a fake source' });
  expect(lines).toEqual(['fetching nats-server: a fake source']);
  expect(await locateNatsServer({ ...options, sources: [source] })).toMatchObject({ source: 'cache' });
  expect(source.asked).toBe(1);
  expect(await readdir(join(cached, '..'))).toEqual([cacheName]);
});

test('a broken or old file in the cache is replaced', async () => {
  const { options, cached } = await bareMachine();
  await writeFakeServer(cached, '2.9.0');
  expect(await locateNatsServer({ ...options, sources: [new FakeSource('2.15.1')] })).toMatchObject({
    version: '2.15.1',
  });
  expect(await locateNatsServer(options)).toMatchObject({ version: '2.15.1', source: 'cache' });
});

test('a source that fails, or gives an old server, makes way for the next', async () => {
  const { options } = await bareMachine();
  const sources = [failingSource('first', 'out of reach'), new FakeSource('2.11.0'), new FakeSource('2.15.1')];
  expect(await locateNatsServer({ ...options, sources })).toMatchObject({ version: '2.15.1' });
});

test('when every source fails, one message says what was tried, why each failed, and the command for each way', async () => {
  const { options, cached } = await bareMachine();
  const sources = [
    failingSource('the archive', 'github.com did not answer'),
    failingSource('the package', 'not a Debian'),
  ];
  const error = await failureOf({ ...options, sources });
  expect(error.attempts).toEqual([
    { source: 'installed', reason: 'none on PATH or in the usual directories' },
    { source: 'the archive', reason: 'github.com did not answer' },
    { source: 'the package', reason: 'not a Debian' },
  ]);
  for (const { source, reason } of error.attempts) expect(error.message).toContain(`${source}: ${reason}`);
  for (const command of [
    'brew install nats-server',
    'apt-get install nats-server',
    'export MESHFORGE_NATS_SERVER=/',
    'export NATS_URL=nats://',
    /docker run .* nats:2\.\S+ -js/,
  ]) {
    expect(error.message).toMatch(command);
  }
  expect(await readdir(join(cached, '..'))).toEqual([]);
});

test('a cache that cannot be written is named as such', async () => {
  const { root, env, options } = await bareMachine();
  const file = join(root, 'a-file');
  await writeFile(file, '');
  const error = await failureOf({
    ...options,
    env: { ...env, XDG_CACHE_HOME: file },
    sources: [new FakeSource('2.15.1')],
  });
  expect(error.message).toContain('set XDG_CACHE_HOME to a directory you can write');
});

test('callers that come at the same time share one fetch', async () => {
  const { options } = await bareMachine();
  const source = new FakeSource('2.15.1', 300);
  const located = await Promise.all(
    Array.from({ length: 8 }, () => locateNatsServer({ ...options, sources: [source] })),
  );
  expect(new Set(located.map(({ version }) => version))).toEqual(new Set(['2.15.1']));
  expect(source.asked).toBe(1);
});

test('callers that wait for a fetch that fails do not queue behind each other', async () => {
  const { options } = await bareMachine();
  const callers = 6;
  let asked = 0;
  const slow = {
    name: 'slow',
    // After the first, none ends before all have begun.
    fetch: async () => {
      asked++;
      if (asked > 1) await vi.waitFor(() => expect(asked).toBe(callers), 20_000);
      else await new Promise((resolve) => setTimeout(resolve, 500));
      throw new Error('unreachable after a while');
    },
  };
  await Promise.all(Array.from({ length: callers }, () => failureOf({ ...options, sources: [slow] })));
  expect(asked).toBe(callers);
});

test('a lock whose process is dead stops nobody', async () => {
  const { options, cached } = await bareMachine();
  await mkdir(join(cached, '..'), { recursive: true });
  await writeFile(`${cached}.lock`, '4194303');
  expect(await locateNatsServer({ ...options, sources: [new FakeSource('2.15.1')] })).toMatchObject({
    version: '2.15.1',
  });
  await expect(access(`${cached}.lock`)).rejects.toThrow('ENOENT');
});

test('fetches that do run at the same time each leave one whole server', async () => {
  const { cached } = await bareMachine();
  await mkdir(join(cached, '..'), { recursive: true });
  const fetching = Array.from({ length: 8 }, (_, index) =>
    fetchIntoCache(new FakeSource(`2.15.${index}`), cached, () => {}),
  );
  expect(await Promise.all(fetching)).toHaveLength(8);
  expect(await readdir(join(cached, '..'))).toEqual([cacheName]);
});
