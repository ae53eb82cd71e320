// Hunts for a permission that a replicated stream needs and a single one does not.
import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startProductionCluster, type ProductionServer } from '../src/production-server.ts';
import { refusalsDuring } from './refusals.ts';
import { takeCommand } from './executor.ts';
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

  const sender = await server.connect('sender');
  const stored = await sender.request('queue.cmd.inventory.adjust', '{}', { timeout: 5_000 });
  expect(stored.json()).toMatchObject({ stream: 'COMMANDS_inventory', seq: 1 });
  const told = sender.subscribe('_INBOX_sender.outcome', { max: 1 });
  await sender.flush();
  // Other members hear of the subscription a little later.
  await sleep(200);
  inventory.publish('_INBOX_sender.outcome', 'done');
  for await (const outcome of told) expect(outcome.string()).toBe('done');
  expect(await takeCommand(inventory, 3)).toBe('queue.cmd.inventory.adjust');

  const refused = await refusalsDuring(client, () => client.publish('ent.inventory.sku-1.created', '{}'));
  expect(refused).toEqual(['publish ent.inventory.sku-1.created']);
});
