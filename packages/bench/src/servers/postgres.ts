import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findProgram, type Program } from '@meshforge/debian-packages';
import { ManagedProcess, pickFreePorts } from '@meshforge/processes';
import pg from 'pg';
import type { Host } from '../contender.ts';
import { loopback, startServerProcess, temporaryDirectory, textOf, type Server } from './server.ts';
import { unprivilegedUser, withinReach } from './unprivileged.ts';

export interface BenchPostgres extends Server {
  readonly port: number;
}

/** Who connects; nobody is asked for a password. */
export const postgresUser = 'postgres';

export interface PostgresServerSettings {
  /** Default: PostgreSQL's own, 100. */
  readonly maxConnections?: number;
}

/**
 * One PostgreSQL for all contenders that want it with these settings, and its own defaults otherwise; `synchronous_commit` is
 * each connection's business.
 */
export async function sharedPostgres(host: Host, settings: PostgresServerSettings = {}): Promise<BenchPostgres> {
  const key = `postgres ${JSON.stringify(settings)}`;
  return await host.shared(key, async () => await startPostgres(await findPostgres(host), settings));
}

/** Debian keeps PostgreSQL off the PATH. */
async function findPostgres({ onProgress }: Host): Promise<Program> {
  return await findProgram({ program: 'postgres', packages: ['postgresql'], onProgress });
}

/** @param found the program `postgres`, with `initdb` beside it */
export async function startPostgres(
  found: Program,
  { maxConnections }: PostgresServerSettings = {},
): Promise<BenchPostgres> {
  const user = await unprivilegedUser();
  const directory = await temporaryDirectory('postgres', user);
  const { file, env } = user === undefined ? found : await withinReach(found, directory);
  const data = join(directory, 'data');
  const plan = { env, cwd: directory, directory, ...user };
  await createCluster({ ...plan, file: join(dirname(file), 'initdb') }, data);
  const [port = 0] = await pickFreePorts(loopback, 1);
  // Clients come over TCP, as to a server on another machine; nothing else is set.
  const settings = {
    listen_addresses: loopback,
    port: String(port),
    unix_socket_directories: '',
    ...(maxConnections === undefined ? {} : { max_connections: String(maxConnections) }),
  };
  const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  let version: string | undefined;
  const isReady = async (): Promise<boolean> => (version = await askVersion(port)) !== undefined;
  const server = await startServerProcess({ ...plan, name: 'postgres', file, args, isReady });
  return {
    port,
    version: textOf(version, 'postgres'),
    pid: server.pid,
    // With SIGTERM it would wait for its clients to leave.
    stop: async () => await server.stop('SIGINT'),
  };
}

async function createCluster(
  plan: Omit<Parameters<typeof startServerProcess>[0], 'name'>,
  data: string,
): Promise<void> {
  // The locale C exists everywhere. What initdb has written need not survive a power failure.
  const args = ['-D', data, '-U', postgresUser, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  const initdb = await ManagedProcess.start({ ...plan, name: 'initdb', args });
  const { code } = await initdb.exited;
  await initdb.stop();
  if (code === 0) return;
  await rm(plan.directory, { recursive: true, force: true });
  throw new Error(`initdb failed: ${initdb.logs()}`);
}

async function askVersion(port: number): Promise<string | undefined> {
  const client = new pg.Client({ host: loopback, port, user: postgresUser, database: 'postgres' });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return rows[0]?.server_version.split(' ')[0];
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => {});
  }
}
