import { inventoryContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import type { Contender, ContentionClient } from '../../contender.ts';
import { startMeshforgeService } from '../meshforge-service.ts';

export const meshforge: Contender<ContentionClient> = {
  id: 'meshforge',
  name: 'MeshForge, update()',
  about: 'mesh.update(): get, decide, update with the version that was read, again on a conflict',
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory'),
  async connect({ url }) {
    const mesh = await connectMesh({ servers: String(url), timeoutMs: 30_000 });
    return {
      async create(entityId) {
        await mesh.request(inventoryContract, 'create', { entityId, data: { name: 'counter', quantity: 0 } });
      },
      async increment(entityId) {
        const outcome = await mesh.update(
          inventoryContract,
          entityId,
          (state) => ({ action: 'update', data: { quantity: (state?.quantity ?? 0) + 1 } }),
          { maxTries: 10_000 },
        );
        if (outcome?.kind !== 'committed') throw new Error(`update was answered ${JSON.stringify(outcome)}`);
      },
      value: async (entityId) => (await mesh.get(inventoryContract, entityId))?.state.quantity ?? Number.NaN,
      close: async () => await mesh.close(),
    };
  },
};
