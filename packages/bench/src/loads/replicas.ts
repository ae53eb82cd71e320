import type { GrowthClient } from '../contender.ts';
import { meshforgeOf } from '../contenders/growth/meshforge.ts';
import { manyEntities } from './growth.ts';
import { defineLoad } from './load.ts';

const entities = 1_000;

export const replicas = defineLoad<GrowthClient>({
  id: 'replicas',
  title: 'Replicas: more agents, and a cluster of three servers, on the same machine',
  unit: 'updates',
  concurrency: { short: [64], full: [64] },
  contenders: [
    meshforgeOf('1', '1 agent, 1 server', { entities }),
    meshforgeOf('2', '2 agents, 1 server', { entities, replicas: 2 }),
    meshforgeOf('4', '4 agents, 1 server', { entities, replicas: 4 }, true),
    meshforgeOf('cluster', '1 agent, 3 servers (R3)', { entities, servers: 3 }),
  ],
  work: async (client) => await manyEntities(client),
});
