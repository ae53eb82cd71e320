import { Redis } from 'ioredis';
import type { Address, Host, Service } from '../contender.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { loopback } from '../servers/server.ts';
import { sharedRedis, type RedisKeeping } from '../servers/redis.ts';

interface RedisSettings {
  readonly keeping?: RedisKeeping;
  /** What is used on top of ioredis. */
  readonly libraries?: readonly string[];
}

export async function startRedisService(host: Host, { keeping, libraries = [] }: RedisSettings = {}): Promise<Service> {
  const { port, version, pid } = await sharedRedis(host, keeping);
  const clients = ['ioredis', ...libraries].map((name) => [name, libraryVersion(name)]);
  return {
    address: { port },
    versions: { Redis: version, ...Object.fromEntries(clients) },
    pids: () => [pid],
    stop: async () => {},
  };
}

/**
 * One connection: ioredis sends without waiting for earlier answers. Its auto-pipelining and more connections were tried:
 * slower with 1 and 64 commands in flight, some 10 % faster with 256, which is no more than what two runs differ by.
 */
export async function connectRedis({ port }: Address): Promise<Redis> {
  const redis = new Redis({ host: loopback, port: Number(port), lazyConnect: true });
  await redis.connect();
  return redis;
}
