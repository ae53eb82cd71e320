import { commandStream, inventoryContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import type { Address, Contender, DurableClient } from '../../contender.ts';
import { natsMessages } from '../../servers/nats.ts';
import { startMeshforgeService } from '../meshforge-service.ts';
import { watchStream } from '../watch-stream.ts';

const timeoutMs = 60_000;

async function connect({ url, monitorUrl }: Address): Promise<DurableClient> {
  const mesh = await connectMesh({ servers: String(url), timeoutMs });
  const queue = await watchStream(String(url), commandStream(inventoryContract.name));
  const create = async (entityId: string): Promise<void> => {
    const data = { name: 'bolt', quantity: 0 };
    const outcome = await mesh.request(inventoryContract, 'create', { entityId, data });
    if (outcome.kind !== 'committed') throw new Error(`create was answered ${JSON.stringify(outcome)}`);
  };
  const count = async (entityId: string): Promise<number> =>
    (await mesh.get(inventoryContract, entityId))?.state.quantity ?? Number.NaN;
  return {
    create: async (entities) => void (await Promise.all(entities.map(create))),
    async send(entityId) {
      const sent = await mesh.send(inventoryContract, 'adjust', { entityId, data: { delta: 1 } });
      return async () => {
        const outcome = await sent.outcome({ timeoutMs });
        if (outcome.kind !== 'committed') throw new Error(`adjust came to ${JSON.stringify(outcome)}`);
      };
    },
    pending: async () => await queue.messages(),
    counters: async (entities) => await Promise.all(entities.map(count)),
    messages: async () => await natsMessages(String(monitorUrl)),
    async close() {
      await queue.close();
      await mesh.close();
    },
  };
}

const about =
  'mesh.send of the action adjust, executed by the inventory agent: in order for each entity, exactly once in effect; an event of each is kept, and the id with it';

export const meshforge: Contender<DurableClient> = {
  id: 'meshforge',
  name: 'MeshForge',
  about,
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory'),
  connect,
};

export const meshforgeFsync: Contender<DurableClient> = {
  id: 'meshforge-fsync',
  name: 'MeshForge, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory', { fsync: true }),
  connect,
};
