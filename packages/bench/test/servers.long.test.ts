// Hunts: servers and data that outlive their use, a nats-server that does not sync although it was told to, and a
// PostgreSQL from packages that runs only where PostgreSQL is installed anyway.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { programDirectories, programEnvironment, unpackDebianPackages } from '@meshforge/debian-packages';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../src/contender.ts';
import { sharedEtcd } from '../src/servers/etcd.ts';
import { sharedNatsServer } from '../src/servers/nats.ts';
import { sharedPostgres, startPostgres } from '../src/servers/postgres.ts';
import { sharedRedis } from '../src/servers/redis.ts';
import { sharedRestate } from '../src/servers/restate.ts';
import type { Server } from '../src/servers/server.ts';
import { createTestHost, firstStartMs, ownTemporaryDirectory } from './support/test-host.ts';

let temporary: Awaited<ReturnType<typeof ownTemporaryDirectory>>;
beforeEach(async () => {
  temporary = await ownTemporaryDirectory();
});
afterEach(async () => await temporary.restore());

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const servers: { name: string; start: (host: Host) => Promise<Server> }[] = [
  { name: 'nats-server', start: async (host) => await sharedNatsServer(host) },
  { name: 'nats-server, fsync', start: async (host) => await sharedNatsServer(host, { fsync: true }) },
  { name: 'PostgreSQL', start: sharedPostgres },
  { name: 'Redis', start: sharedRedis },
  { name: 'etcd', start: sharedEtcd },
  { name: 'Restate', start: sharedRestate },
];

test.each(servers)(
  '$name runs, tells its version, and leaves nothing behind',
  { timeout: firstStartMs },
  async ({ start }) => {
    const host = createTestHost();
    const server = await start(host);
    expect(server.version).toMatch(/^\d+\.\d+/);
    expect(isRunning(server.pid)).toBe(true);
    expect(await readdir(temporary.directory)).toHaveLength(1);
    expect(await start(host)).toBe(server);
    await host.stop();
    expect(isRunning(server.pid)).toBe(false);
    expect(await readdir(temporary.directory)).toEqual([]);
  },
);

test('PostgreSQL from the packages runs as the installed one does', { timeout: firstStartMs }, async () => {
  // The package without a number only stands for the suite's own version, and would bring nothing where that is installed.
  const [installed] = await readdir('/usr/lib/postgresql').catch(() => []);
  const packages = [installed === undefined ? 'postgresql' : `postgresql-${installed}`];
  const root = await unpackDebianPackages({ packages, onProgress: createTestHost().onProgress });
  const [directory = ''] = await programDirectories(root);
  const server = await startPostgres({ file: join(directory, 'postgres'), env: await programEnvironment(root), root });
  try {
    const client = new pg.Client({ host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres' });
    await client.connect();
    const { rows } = await client.query(`SELECT setting FROM pg_config WHERE name = 'BINDIR'`);
    await client.end();
    expect(rows).toEqual([{ setting: expect.stringMatching(/^(?!\/usr\/lib).*\/usr\/lib\/postgresql\/\d+\/bin$/) }]);
  } finally {
    await server.stop();
  }
  expect(await readdir(temporary.directory)).toEqual([]);
});
