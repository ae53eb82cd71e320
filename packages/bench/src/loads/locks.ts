import type { LockClient } from '../contender.ts';
import { etcd } from '../contenders/locks/etcd.ts';
import { meshforge, meshforgeFsync } from '../contenders/locks/meshforge.ts';
import { postgresAdvisory } from '../contenders/locks/postgres-advisory.ts';
import { redisSetNx } from '../contenders/locks/redis-set-nx.ts';
import { redlock } from '../contenders/locks/redlock.ts';
import { defineLoad } from './load.ts';
import { pickOwn } from './pick-own.ts';

const resources = Array.from({ length: 32 }, (_, index) => `resource-${index}`);

export const locks = defineLoad<LockClient>({
  id: 'locks',
  title: 'Lock and unlock of one of 32 resources',
  unit: 'lock+unlock pairs',
  concurrency: { short: [1, 32], full: [1, 8, 32] },
  contenders: [meshforge, meshforgeFsync, redlock, redisSetNx, etcd, postgresAdvisory],
  work: (client) =>
    Promise.resolve({
      async run(worker, concurrency) {
        const unlock = await client.lock(resources[pickOwn(resources.length, worker, concurrency)] as string);
        await unlock();
      },
      close: async () => await client.close(),
    }),
});
