import { lockContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import type { Address, Contender, LockClient } from '../../contender.ts';
import { startMeshforgeService } from '../meshforge-service.ts';

async function connect({ url }: Address): Promise<LockClient> {
  const mesh = await connectMesh({ servers: String(url) });
  let owners = 0;
  return {
    async lock(entityId) {
      const owner_id = `owner-${owners++}`;
      const granted = await mesh.request(lockContract, 'acquire', { entityId, data: { owner_id, ttl_ms: 30_000 } });
      if (granted.kind !== 'committed') throw new Error(`acquire was answered ${JSON.stringify(granted)}`);
      const { fencing_token } = granted.payload.state as { fencing_token: number };
      return async () => {
        const released = await mesh.request(lockContract, 'release', { entityId, data: { owner_id, fencing_token } });
        if (released.kind !== 'committed') throw new Error(`release was answered ${JSON.stringify(released)}`);
      };
    },
    close: async () => await mesh.close(),
  };
}

const about = 'acquire and release through the lock manager: a lease that the server ends, with a fencing token';

export const meshforge: Contender<LockClient> = {
  id: 'meshforge',
  name: 'MeshForge',
  about,
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/lock-manager'),
  connect,
};

export const meshforgeFsync: Contender<LockClient> = {
  id: 'meshforge-fsync',
  name: 'MeshForge, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await startMeshforgeService(host, '@meshforge/lock-manager', { fsync: true }),
  connect,
};
