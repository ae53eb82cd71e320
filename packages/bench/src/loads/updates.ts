import type { UpdateClient } from '../contender.ts';
import { echo } from '../contenders/updates/echo.ts';
import { floor, floorFsync } from '../contenders/updates/floor.ts';
import { meshforge, meshforgeFsync, meshforgeGuarded } from '../contenders/updates/meshforge.ts';
import { meshforgeInProcess } from '../contenders/updates/meshforge-in-process.ts';
import { natsKv } from '../contenders/updates/nats-kv.ts';
import { postgresAgent, postgresAgentFsync } from '../contenders/updates/postgres-agent.ts';
import { postgresAsync } from '../contenders/updates/postgres-async.ts';
import { postgresFsync } from '../contenders/updates/postgres-fsync.ts';
import { redis } from '../contenders/updates/redis.ts';
import { restate } from '../contenders/updates/restate.ts';
import { defineLoad } from './load.ts';
import { pickOwn } from './pick-own.ts';

const entities = Array.from({ length: 1_000 }, (_, index) => `item-${index}`);

export const updates = defineLoad<UpdateClient>({
  id: 'updates',
  title: 'Versioned update of one of 1,000 entities',
  unit: 'updates',
  concurrency: { short: [1, 64, 256], full: [1, 64, 256] },
  contenders: [
    meshforge,
    meshforgeFsync,
    meshforgeGuarded,
    meshforgeInProcess,
    floor,
    floorFsync,
    echo,
    natsKv,
    postgresAsync,
    postgresFsync,
    postgresAgent,
    postgresAgentFsync,
    redis,
    restate,
  ],
  async work(client) {
    const versions = await client.create(entities);
    return {
      async run(worker, concurrency) {
        const index = pickOwn(entities.length, worker, concurrency);
        versions[index] = await client.update(entities[index] as string, versions[index] as number);
      },
      close: async () => await client.close(),
    };
  },
});
