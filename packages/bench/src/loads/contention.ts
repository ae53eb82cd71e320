import type { ContentionClient } from '../contender.ts';
import { meshforge } from '../contenders/contention/meshforge.ts';
import { natsKv } from '../contenders/contention/nats-kv.ts';
import { postgresAsync, postgresFsync } from '../contenders/contention/postgres.ts';
import { defineLoad } from './load.ts';

const entity = 'hot';

export const contention = defineLoad<ContentionClient>({
  id: 'contention',
  title: 'Read, add one, write: everybody on one entity',
  unit: 'increments',
  concurrency: { short: [64], full: [8, 64] },
  contenders: [meshforge, natsKv, postgresAsync, postgresFsync],
  async work(client) {
    await client.create(entity);
    let done = 0;
    return {
      async run() {
        await client.increment(entity);
        done++;
      },
      async verify() {
        const value = await client.value(entity);
        if (value !== done) throw new Error(`${done} increments were acknowledged, but the counter says ${value}`);
      },
      close: async () => await client.close(),
    };
  },
});
