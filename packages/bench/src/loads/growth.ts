import type { GrowthClient } from '../contender.ts';
import { meshforgeOf } from '../contenders/growth/meshforge.ts';
import { defineLoad } from './load.ts';

export const growth = defineLoad<GrowthClient>({
  id: 'growth',
  title: 'Growth: versioned updates of one of ever more entities',
  unit: 'updates',
  concurrency: { short: [64], full: [64] },
  contenders: [
    meshforgeOf('1k', '1,000 entities', { entities: 1_000 }),
    meshforgeOf('10k', '10,000 entities', { entities: 10_000 }),
    meshforgeOf('100k', '100,000 entities', { entities: 100_000 }, true),
    meshforgeOf('1m', '1,000,000 entities', { entities: 1_000_000 }, true),
  ],
  work: async (client) => await manyEntities(client),
});

/** The work of any load in which MeshForge is compared with itself. */
export async function manyEntities(client: GrowthClient) {
  await client.create();
  return {
    run: async (worker: number, concurrency: number) => await client.update(worker, concurrency),
    close: async () => await client.close(),
  };
}
