import { StorageType } from '@nats-io/jetstream';
import { Kvm, type KV } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import type { Address, Host, Service } from '../contender.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { sharedNatsServer } from '../servers/nats.ts';

export interface Bucket {
  readonly kv: KV;
  close(): Promise<void>;
}

export async function startNatsService(host: Host): Promise<Service> {
  const { url, version, pid } = await sharedNatsServer(host);
  return {
    address: { url },
    versions: { 'nats-server': version, '@nats-io/kv': libraryVersion('@nats-io/kv') },
    pids: () => [pid],
    stop: async () => {},
  };
}

/** One connection, which is what NATS asks its clients to have, and a bucket in files that keeps one value of each key. */
export async function openBucket({ url }: Address, name: string): Promise<Bucket> {
  const connection = await connect({ servers: String(url) });
  const kv = await new Kvm(connection).create(name, { storage: StorageType.File, history: 1 });
  return { kv, close: async () => await connection.close() };
}
