import { connectMesh } from '@meshforge/runtime';
import type { Address, Contender, ContendedLockClient } from '../../contender.ts';
import { natsMessages } from '../../servers/nats.ts';
import { startMeshforgeService } from '../meshforge-service.ts';

/** The longest that there is. */
const waitMs = 600_000;

function connect({ url, monitorUrl }: Address): Promise<ContendedLockClient> {
  return Promise.resolve({
    async waiter() {
      const mesh = await connectMesh({ servers: String(url) });
      return {
        async lock(resource) {
          const lease = await mesh.acquire(resource, { waitMs });
          return async () => await lease.release();
        },
        close: async () => await mesh.close(),
      };
    },
    messages: async () => await natsMessages(String(monitorUrl)),
    close: () => Promise.resolve(),
  });
}

const about =
  'mesh.acquire and release: a lease with a fencing token, kept by the client; the lock manager holds the answer back until the turn comes, first come first';

export const meshforge: Contender<ContendedLockClient> = {
  id: 'meshforge',
  name: 'MeshForge',
  about,
  durability: 'written',
  start: async (host) => await startMeshforgeService(host, '@meshforge/lock-manager'),
  connect,
};

export const meshforgeFsync: Contender<ContendedLockClient> = {
  id: 'meshforge-fsync',
  name: 'MeshForge, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await startMeshforgeService(host, '@meshforge/lock-manager', { fsync: true }),
  connect,
};
