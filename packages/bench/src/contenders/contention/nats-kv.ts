import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import type { KvEntry } from '@nats-io/kv';
import type { Address, Contender, ContentionClient } from '../../contender.ts';
import { openBucket, startNatsService } from '../nats-kv-bucket.ts';
import { untilDone } from './until-done.ts';

async function connect(address: Address): Promise<ContentionClient> {
  const bucket = await openBucket(address, 'contention');
  const read = async (entity: string): Promise<KvEntry> => {
    const entry = await bucket.kv.get(entity);
    if (entry === null) throw new Error(`${entity} does not exist`);
    return entry;
  };
  return {
    create: async (entity) => void (await bucket.kv.create(entity, JSON.stringify({ value: 0 }))),
    increment: async (entity) =>
      await untilDone(async () => {
        const entry = await read(entity);
        const state = JSON.stringify({ value: valueOf(entry) + 1 });
        return await bucket.kv.update(entity, state, entry.revision).then(() => true, isConflict);
      }),
    value: async (entity) => valueOf(await read(entity)),
    close: async () => await bucket.close(),
  };
}

function valueOf(entry: KvEntry): number {
  return entry.json<{ value: number }>().value;
}

/** False says that somebody else came first; any other fault is thrown on. */
function isConflict(error: unknown): false {
  if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence) return false;
  throw error;
}

export const natsKv: Contender<ContentionClient> = {
  id: 'nats-kv',
  name: 'NATS KV',
  about: 'get, then update against the revision; @nats-io/kv, 1 connection; bucket in files, one replica',
  durability: 'written',
  start: startNatsService,
  connect,
};
