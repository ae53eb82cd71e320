// Hunts for a permission that a replicated stream needs and a single one does not.
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startProductionCluster, type ProductionServer } from '../src/production-server.ts';
import { refusalsDuring } from './refusals.ts';
import { commit, makeStreams } from './streams.ts';

let server: ProductionServer;
beforeAll(async () => {
  server = await startProductionCluster();
});
afterAll(async () => await server?.stop());

test('three servers replicate the agents’ streams, and every user may do on them what it may do on one', async () => {
  const [inventory, lockManager] = [await server.connect('inventory'), await server.connect('lockManager')];
  const [client, subscriber] = [await server.connect('client'), await server.connect('subscriber')];
  await makeStreams(inventory, lockManager, 3);
  expect((await (await jetstreamManager(inventory)).streams.info('ENTITIES_inventory')).cluster?.replicas).toHaveLength(
    2,
  );

  const events = client.subscribe('evt.inventory.created', { max: 1 });
  await client.flush();
  const { seq } = await commit(inventory, { subject: 'ent.inventory.sku-1.created', body: 'kept', expected: 0 });
  for await (const event of events) expect(event.headers?.get('Nats-Sequence')).toBe(String(seq));

  const manager = await jetstreamManager(subscriber, { domain: 'MESHFORGE' });
  await manager.consumers.add('ENTITIES_inventory', {
    durable_name: 'orders',
    ack_policy: AckPolicy.Explicit,
    num_replicas: 3,
  });
  const consumer = await jetstream(subscriber, { domain: 'MESHFORGE' }).consumers.get('ENTITIES_inventory', 'orders');
  const message = await consumer.next({ expires: 5_000 });
  expect(message?.string()).toBe('kept');
  expect(await message?.ackAck()).toBe(true);

  const refused = await refusalsDuring(client, () => client.publish('ent.inventory.sku-1.created', '{}'));
  expect(refused).toEqual(['publish ent.inventory.sku-1.created']);
});
