import Redlock from 'redlock';
import type { Redis } from 'ioredis';
import type { Address, Contender, ContendedLockClient } from '../../contender.ts';
import { lockedForMs } from '../locks/locked-for.ts';
import { connectRedis, startRedisService } from '../redis-service.ts';

/** Its own defaults, which its documentation shows, but for the count: nobody gives up. */
const retries = { retryCount: -1, retryDelay: 200, retryJitter: 200 };

async function connect(address: Address): Promise<ContendedLockClient> {
  const teller = await connectRedis(address);
  return {
    async waiter() {
      const redlock = new Redlock([await connectRedis(address)], retries);
      return {
        lock: async (resource) => {
          const lock = await redlock.acquire([`redlock:${resource}`], lockedForMs);
          return async () => void (await lock.release());
        },
        close: async () => await redlock.quit(),
      };
    },
    messages: async () => 2 * (await scriptsRun(teller)),
    close: async () => void (await teller.quit()),
  };
}

/** All that Redlock asks is a script; what scripts do inside is no message. */
async function scriptsRun(redis: Redis): Promise<number> {
  const calls = (await redis.info('commandstats')).matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm);
  return [...calls].reduce((total, [, count]) => total + Number(count), 0);
}

export const redlock: Contender<ContendedLockClient> = {
  id: 'redlock',
  name: 'Redlock',
  about:
    'acquire and release on one Redis, tried again every 200 ms and up to 200 more at random, without end; redlock over ioredis; append-only file, synced each second',
  durability: 'memory',
  start: async (host) => await startRedisService(host, { libraries: ['redlock'] }),
  connect,
};
