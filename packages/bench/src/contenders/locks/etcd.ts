import { Etcd3 } from 'etcd3';
import type { Address, Contender, Host, LockClient, Service } from '../../contender.ts';
import { sharedEtcd } from '../../servers/etcd.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { lockedForMs } from './locked-for.ts';

async function start(host: Host): Promise<Service> {
  const { url, version, pid } = await sharedEtcd(host);
  return {
    address: { url },
    versions: { etcd: version, etcd3: libraryVersion('etcd3') },
    pids: () => [pid],
    stop: async () => {},
  };
}

function connect({ url }: Address): Promise<LockClient> {
  const client = new Etcd3({ hosts: String(url) });
  return Promise.resolve({
    lock: async (resource: string) => {
      const lock = await client
        .lock(resource)
        .ttl(lockedForMs / 1000)
        .acquire();
      return async () => await lock.release();
    },
    close: async () => {
      client.close();
      await Promise.resolve();
    },
  });
}

export const etcd: Contender<LockClient> = {
  id: 'etcd',
  name: 'etcd',
  about: "the client's lock: a lease, and a key created under it; etcd3, 1 connection; single node",
  durability: 'fsync',
  start,
  connect,
};
