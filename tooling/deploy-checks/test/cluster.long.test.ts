// Hunts for a permission that a replicated stream needs and a single one does not.
import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
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

  const heard: (string | undefined)[] = [];
  client.subscribe('evt.inventory.created', {
    callback: (_error, event) => void heard.push(event.headers?.get('Nats-Sequence')),
  });
  await client.flush();
  // Other members hear of a subscription a little later.
  await vi.waitFor(async () => {
    const subject = `ent.inventory.sku-${heard.length}-${performance.now().toFixed(0)}.0.created`;
    const { seq } = await commit(inventory, { subject, body: 'kept', expected: 0 });
    await sleep(200);
    expect(heard).toContain(String(seq));
  }, 60_000);

  const manager = await jetstreamManager(subscriber, { domain: 'MESHFORGE' });
  await manager.consumers.add('ENTITIES_inventory', {
    durable_name: 'orders',
    ack_policy: AckPolicy.Explicit,
    num_replicas: 3,
  });
  const consumer = await jetstream(subscriber, { domain: 'MESHFORGE' }).consumers.get('ENTITIES_inventory', 'orders');
  const message = await consumer.next({ expires: 20_000 });
  expect(message?.string()).toBe('kept');
  expect(await message?.ackAck()).toBe(true);

  const sender = await server.connect('sender');
  const stored = await sender.request('queue.cmd.inventory.x.adjust', '{}', { timeout: 20_000 });
  expect(stored.json()).toMatchObject({ stream: 'COMMANDS_inventory', seq: 1 });
  const told: string[] = [];
  sender.subscribe('_INBOX_sender.outcome', { callback: (_error, outcome) => void told.push(outcome.string()) });
  await sender.flush();
  await vi.waitFor(async () => {
    inventory.publish('_INBOX_sender.outcome', 'done');
    await sleep(200);
    expect(told).toContain('done');
  }, 60_000);
  expect(await takeCommand(inventory, 3)).toBe('queue.cmd.inventory.x.adjust');

  const refused = await refusalsDuring(client, () => client.publish('ent.inventory.sku-1.0.created', '{}'));
  expect(refused).toEqual(['publish ent.inventory.sku-1.0.created']);
}, 180_000);

// What README.md lists as a defect of the server. If this fails, the server has learned better: change the page, then the test.
test('a sender can stop a replicated stream for good with one message that expects another last id', async () => {
  const sender = await server.connect('sender');
  const store = async (): Promise<string> => {
    const answer = sender.request('queue.cmd.lock.x.acquire', '{}', { timeout: 5_000 });
    return await answer.then(
      (message) => message.string(),
      () => 'no answer',
    );
  };
  expect(await store()).toContain('COMMANDS_lock');
  const stopping = headers();
  stopping.set('Nats-Expected-Last-Msg-Id', 'another');
  sender.publish('queue.cmd.lock.x.acquire', '{}', { headers: stopping });
  await sender.flush();
  await vi.waitFor(async () => expect(await store()).toBe('no answer'), 60_000);
  // Time for an election: the stream stays stopped.
  await sleep(5_000);
  expect(await store()).toBe('no answer');
}, 180_000);
