import Redlock from 'redlock';
import type { Address, Contender, LockClient } from '../../contender.ts';
import { connectRedis, startRedisService } from '../redis-service.ts';
import { lockedForMs } from './locked-for.ts';

async function connect(address: Address): Promise<LockClient> {
  const redis = await connectRedis(address);
  // Every lock it is asked for is free; a retry would only hide that one was not.
  const redlock = new Redlock([redis], { retryCount: 0 });
  return {
    lock: async (resource) => {
      const lock = await redlock.acquire([`redlock:${resource}`], lockedForMs);
      return async () => void (await lock.release());
    },
    close: async () => await redlock.quit(),
  };
}

export const redlock: Contender<LockClient> = {
  id: 'redlock',
  name: 'Redlock',
  about: 'acquire and release on one Redis; redlock over ioredis, 1 connection; append-only file, synced each second',
  durability: 'memory',
  start: async (host) => await startRedisService(host, { libraries: ['redlock'] }),
  connect,
};
