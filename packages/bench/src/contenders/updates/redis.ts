import type { Redis } from 'ioredis';
import type { Address, Contender, UpdateClient } from '../../contender.ts';
import { connectRedis, startRedisService } from '../redis-service.ts';

const compareAndSet = `
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'version', 1)`;

interface WithCommand extends Redis {
  compareAndSet(key: string, version: number, state: string): Promise<number>;
}

async function connect(address: Address): Promise<UpdateClient> {
  const redis = (await connectRedis(address)) as WithCommand;
  redis.defineCommand('compareAndSet', { numberOfKeys: 1, lua: compareAndSet });
  const key = (entity: string): string => `updates:${entity}`;
  return {
    create: async (entities) => {
      const state = JSON.stringify({ name: 'bolt', quantity: 1_000 });
      await Promise.all(entities.map(async (entity) => await redis.hset(key(entity), { version: 1, state })));
      return entities.map(() => 1);
    },
    update: async (entity, version) => {
      const state = JSON.stringify({ name: 'bolt', quantity: 1_000 + version });
      const after = await redis.compareAndSet(key(entity), version, state);
      if (after === 0) throw new Error(`${entity} is not at version ${version}`);
      return after;
    },
    close: async () => void (await redis.quit()),
  };
}

export const redis: Contender<UpdateClient> = {
  id: 'redis',
  name: 'Redis',
  about: 'a Lua compare-and-set on a hash; ioredis, 1 connection; append-only file, synced each second',
  durability: 'memory',
  start: async (host) => await startRedisService(host),
  connect,
};
