import { inventoryContract } from '@meshforge/protocol';
import { connectMesh, type LeaseProof } from '@meshforge/runtime';
import type { Address, Contender, UpdateClient } from '../../contender.ts';
import { startMeshforgeService } from '../meshforge-service.ts';

/** @param lease named in every update; the entities remember its token */
async function connect({ url }: Address, lease?: LeaseProof): Promise<UpdateClient> {
  const mesh = await connectMesh({ servers: String(url) });
  const proof = lease && { lease };
  const send = async (action: 'create' | 'adjust', entityId: string, expectedVersion: number): Promise<number> => {
    const data = action === 'create' ? { name: 'bolt', quantity: 1_000 } : { delta: 1 };
    const outcome = await mesh.request(inventoryContract, action, { entityId, expectedVersion, ...proof, data });
    if (outcome.kind !== 'committed') throw new Error(`${action} was answered ${JSON.stringify(outcome)}`);
    return outcome.payload.entity_version;
  };
  return {
    create: async (entities) => await Promise.all(entities.map((entity) => send('create', entity, 0))),
    update: async (entity, version) => await send('adjust', entity, version),
    close: async () => await mesh.close(),
  };
}

const about = 'request/reply to the inventory agent, action adjust with expected_version';

export const meshforge: Contender<UpdateClient> = {
  id: 'meshforge',
  name: 'MeshForge',
  about,
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory'),
  connect: async (address) => await connect(address),
};

export const meshforgeFsync: Contender<UpdateClient> = {
  id: 'meshforge-fsync',
  name: 'MeshForge, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory', { fsync: true }),
  connect: async (address) => await connect(address),
};

export const meshforgeGuarded: Contender<UpdateClient> = {
  id: 'meshforge-guarded',
  name: 'MeshForge, lease named',
  about: `${about}; each names a lease, and is refused once the entity has seen a greater fencing token of it`,
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/inventory', { apart: 'guarded' }),
  connect: async (address) => await connect(address, { resource: 'bench', fencingToken: 1 }),
};
