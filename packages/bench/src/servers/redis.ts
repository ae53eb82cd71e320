import { findProgram } from '@meshforge/debian-packages';
import { pickFreePorts } from '@meshforge/processes';
import { Redis } from 'ioredis';
import type { Host } from '../contender.ts';
import { loopback, startServerProcess, temporaryDirectory, textOf, type Server } from './server.ts';

export interface BenchRedis extends Server {
  readonly port: number;
}

/**
 * What is done for the data. `everysec`: every write goes to the append-only file, which is synced each second, as Redis
 * recommends to those who want to keep them. `always`: synced before the answer. `snapshots`: what Redis does when it is
 * told nothing, a copy of all of it from time to time.
 */
export type RedisKeeping = 'everysec' | 'always' | 'snapshots';

/** One Redis for all contenders that want it like this. Everything else is as it comes. */
export async function sharedRedis(host: Host, keeping: RedisKeeping = 'everysec'): Promise<BenchRedis> {
  return await host.shared(`redis ${keeping}`, async () => await start(host, keeping));
}

async function start({ onProgress }: Host, keeping: RedisKeeping): Promise<BenchRedis> {
  const { file, env } = await findProgram({ program: 'redis-server', packages: ['redis-server'], onProgress });
  const directory = await temporaryDirectory('redis');
  const [port = 0] = await pickFreePorts(loopback, 1);
  const settings = {
    bind: loopback,
    port: String(port),
    dir: directory,
    ...(keeping !== 'snapshots' && { appendonly: 'yes', appendfsync: keeping }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  let version: string | undefined;
  const isReady = async (): Promise<boolean> => (version = await askVersion(port)) !== undefined;
  const server = await startServerProcess({ name: 'redis-server', file, args, env, directory, isReady });
  return { port, version: textOf(version, 'redis-server'), pid: server.pid, stop: async () => await server.stop() };
}

async function askVersion(port: number): Promise<string | undefined> {
  const redis = new Redis({ host: loopback, port, lazyConnect: true, retryStrategy: () => null });
  // Refused while it is not up yet; the promise says so as well.
  redis.on('error', () => {});
  try {
    await redis.connect();
    return /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1];
  } catch {
    return undefined;
  } finally {
    redis.disconnect();
  }
}
