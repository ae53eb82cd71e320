import type { Address, Contender, UpdateClient } from '../../contender.ts';
import { openBucket, startNatsService } from '../nats-kv-bucket.ts';

async function connect(address: Address): Promise<UpdateClient> {
  const bucket = await openBucket(address, 'updates');
  return {
    create: async (entities) => {
      const state = JSON.stringify({ name: 'bolt', quantity: 1_000 });
      return await Promise.all(entities.map(async (entity) => await bucket.kv.create(entity, state)));
    },
    update: async (entity, version) =>
      await bucket.kv.update(entity, JSON.stringify({ name: 'bolt', quantity: 1_000 + version }), version),
    close: async () => await bucket.close(),
  };
}

export const natsKv: Contender<UpdateClient> = {
  id: 'nats-kv',
  name: 'NATS KV',
  about: 'update of a key against its revision; @nats-io/kv, 1 connection; bucket in files, one replica',
  durability: 'written',
  start: startNatsService,
  connect,
};
