import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Address, Contender, LockClient } from '../../contender.ts';
import { connectRedis, startRedisService } from '../redis-service.ts';
import { lockedForMs } from './locked-for.ts';

const compareAndDelete = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`;

interface WithCommand extends Redis {
  compareAndDelete(key: string, token: string): Promise<number>;
}

async function connect(address: Address): Promise<LockClient> {
  const redis = (await connectRedis(address)) as WithCommand;
  redis.defineCommand('compareAndDelete', { numberOfKeys: 1, lua: compareAndDelete });
  return {
    lock: async (resource) => {
      const key = `set-nx:${resource}`;
      const token = randomUUID();
      if ((await redis.set(key, token, 'PX', lockedForMs, 'NX')) === null) throw new Error(`${resource} is locked`);
      return async () => {
        if ((await redis.compareAndDelete(key, token)) === 0) throw new Error(`${resource} was no longer locked`);
      };
    },
    close: async () => void (await redis.quit()),
  };
}

export const redisSetNx: Contender<LockClient> = {
  id: 'redis-set-nx',
  name: 'Redis, SET NX',
  about: 'SET NX PX and a Lua compare-and-delete; ioredis, 1 connection; append-only file, synced each second',
  durability: 'memory',
  start: async (host) => await startRedisService(host),
  connect,
};
