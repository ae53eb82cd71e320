import type { Address, Contender, ContendedLockClient, Host, Service } from '../../contender.ts';
import { sharedEtcd } from '../../servers/etcd.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { EtcdLocks } from './etcd-locks.ts';

/** Longer than any run: a session's lease, which its client would keep alive every ten seconds. */
const sessionS = 3_600;

async function start(host: Host): Promise<Service> {
  const { url, version, pid } = await sharedEtcd(host);
  return {
    address: { url },
    versions: { etcd: version, '@grpc/grpc-js': libraryVersion('@grpc/grpc-js') },
    pids: () => [pid],
    stop: async () => {},
  };
}

function connect({ url }: Address): Promise<ContendedLockClient> {
  return Promise.resolve({
    async waiter() {
      const locks = new EtcdLocks(String(url));
      const lease = await locks.grantLease(sessionS);
      return {
        lock: async (resource) => {
          const key = await locks.lock(resource, lease);
          return async () => await locks.unlock(key);
        },
        close: () => Promise.resolve(locks.close()),
      };
    },
    messages: async () => await grpcMessages(String(url)),
    close: () => Promise.resolve(),
  });
}

async function grpcMessages(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const counts = metrics.matchAll(/^grpc_server_msg_(?:received|sent)_total\{.*\} (\S+)$/gm);
  return [...counts].reduce((total, [, count]) => total + Number(count), 0);
}

export const etcd: Contender<ContendedLockClient> = {
  id: 'etcd',
  name: 'etcd',
  about:
    "its lock service, which waits by watching whoever is before, first come first: one lease for each client's session, a key created under it; gRPC; single node",
  durability: 'fsync',
  start,
  connect,
};
