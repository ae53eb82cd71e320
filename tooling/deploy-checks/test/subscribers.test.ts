// Hunts for messages a durable subscriber misses, and for ways from its account into a log.
import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { meshForThisFile } from './mesh.ts';
import { arrivalsDuring, refusalsDuring } from './refusals.ts';
import { commit, contents } from './streams.ts';

const mesh = meshForThisFile();
const inMesh = { domain: 'MESHFORGE' };
const api = '$JS.MESHFORGE.API';

async function commitMany(connection: NatsConnection, entity: string, count: number): Promise<void> {
  let expected = 0;
  for (let version = 1; version <= count; version++) {
    const answer = await commit(connection, {
      subject: `ent.inventory.${entity}.0.adjusted`,
      body: String(version),
      expected,
    });
    expected = answer.seq ?? expected;
  }
}

/** Takes and acknowledges what is there, as far as `count`. */
async function take(connection: NatsConnection, name: string, count: number): Promise<string[]> {
  const consumer = await jetstream(connection, inMesh).consumers.get('ENTITIES_inventory', name);
  const taken: string[] = [];
  for await (const message of await consumer.fetch({ max_messages: count, expires: 1_000 })) {
    taken.push(`${message.subject} ${message.string()}`);
    expect(await message.ackAck()).toBe(true);
  }
  return taken;
}

async function makeConsumer(connection: NatsConnection, name: string, entity: string): Promise<void> {
  const manager = await jetstreamManager(connection, inMesh);
  const filter_subject = `ent.inventory.${entity}.0.adjusted`;
  await manager.consumers.add('ENTITIES_inventory', {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    filter_subject,
  });
}

describe('a durable subscriber', () => {
  test('consumes a log with acknowledgements and goes on where it stopped, over another connection', async () => {
    const { inventory, server, subscriber } = mesh();
    await makeConsumer(subscriber, 'orders', 'durable');
    await commitMany(inventory, 'durable', 5);
    const first = await take(subscriber, 'orders', 3);
    const second = await take(await server.connect('subscriber'), 'orders', 3);
    expect([...first, ...second]).toEqual(
      [1, 2, 3, 4, 5].map((version) => `ent.inventory.durable.0.adjusted ${version}`),
    );

    const { num_ack_pending, num_pending } = await (
      await jetstreamManager(subscriber, inMesh)
    ).consumers.info('ENTITIES_inventory', 'orders');
    expect({ num_ack_pending, num_pending }).toEqual({ num_ack_pending: 0, num_pending: 0 });
  });

  test('gets a message again that it did not finish', async () => {
    const { inventory, subscriber } = mesh();
    await makeConsumer(subscriber, 'retries', 'again');
    await commitMany(inventory, 'again', 1);
    const consumer = await jetstream(subscriber, inMesh).consumers.get('ENTITIES_inventory', 'retries');
    const first = await consumer.next({ expires: 2_000 });
    first?.nak();
    const second = await consumer.next({ expires: 2_000 });
    expect(second?.info.deliveryCount).toBe(2);
    expect(await second?.ackAck()).toBe(true);
  });

  test('keeps consuming as messages come', async () => {
    const { inventory, subscriber } = mesh();
    await makeConsumer(subscriber, 'live', 'flow');
    const consumer = await jetstream(subscriber, inMesh).consumers.get('ENTITIES_inventory', 'live');
    const messages = await consumer.consume({ max_messages: 10 });
    const committing = commitMany(inventory, 'flow', 30);
    const taken: string[] = [];
    for await (const message of messages) {
      taken.push(message.string());
      message.ack();
      if (taken.length === 30) break;
    }
    await committing;
    expect(taken).toEqual(Array.from({ length: 30 }, (_, index) => String(index + 1)));
  });

  test('reads entities and stream information, and hears live events', async () => {
    const { inventory, subscriber } = mesh();
    const events = await arrivalsDuring(subscriber, 'evt.>', async () => await commitMany(inventory, 'read', 1), 1);
    const manager = await jetstreamManager(subscriber, inMesh);
    expect((await manager.streams.info('ENTITIES_lock')).config.name).toBe('ENTITIES_lock');
    expect((await subscriber.request(`${api}.DIRECT.GET.ENTITIES_inventory.ent.inventory.read.>`)).string()).toBe('1');
    expect(events).toEqual(['evt.inventory.adjusted']);
  });

  test.each([
    'ent.inventory.x.0.created',
    'ent.inventory.x.refused',
    'ent.inventory.probe',
    'evt.inventory.created',
    'cmd.inventory.create',
    '_INBOX_client.x',
    '$JS.API.STREAM.INFO.ENTITIES_inventory',
    '$JS.API.STREAM.DELETE.ENTITIES_inventory',
    `${api}.STREAM.DELETE.ENTITIES_inventory`,
    `${api}.STREAM.PURGE.ENTITIES_inventory`,
    `${api}.STREAM.UPDATE.ENTITIES_inventory`,
    `${api}.STREAM.CREATE.TRAP`,
    `${api}.STREAM.MSG.DELETE.ENTITIES_inventory`,
    `${api}.CONSUMER.DELETE.ENTITIES_inventory.orders`,
    `${api}.CONSUMER.CREATE.SIGNALS.spy`,
    `${api}.DIRECT.GET.SIGNALS`,
    'cmd.lock.break',
    'queue.cmd.inventory.x.adjust',
    'queue.later.inventory.x.x',
    'queue.decided.inventory.x.cancelled',
    'dead.inventory.x',
    'letters.inventory.list',
    '_INBOX_sender.x',
    `${api}.STREAM.INFO.COMMANDS_inventory`,
    `${api}.DIRECT.GET.COMMANDS_inventory.queue.cmd.inventory.x.x`,
    `${api}.CONSUMER.CREATE.COMMANDS_inventory.thief`,
    `${api}.CONSUMER.INFO.COMMANDS_inventory.executor`,
    `${api}.CONSUMER.MSG.NEXT.COMMANDS_inventory.executor`,
    `${api}.CONSUMER.CREATE.DEAD_LETTERS.spy`,
    `${api}.CONSUMER.CREATE.ENTITIES_inventory.react_inventory_expiry`,
    `${api}.CONSUMER.CREATE.ENTITIES_inventory.react_inventory_expiry.ent.inventory.*.*.reserved`,
    `${api}.CONSUMER.MSG.NEXT.ENTITIES_inventory.react_inventory_expiry`,
    `${api}.CONSUMER.UNPIN.ENTITIES_inventory.react_inventory_expiry`,
    '$JS.ACK.ENTITIES_inventory.react_inventory_expiry.1.1.1.1.0',
    '$JS.ACK.COMMANDS_inventory.executor.1.1.1.1.0',
    '$SYS.REQ.SERVER.PING',
  ])('cannot publish %s', async (subject) => {
    const { operator, subscriber } = mesh();
    const before = await contents(operator);
    const arrived = await arrivalsDuring(operator, subject, async () => {
      expect(await refusalsDuring(subscriber, () => subscriber.publish(subject, '{}'))).toEqual([`publish ${subject}`]);
    });
    expect(arrived).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each([
    '>',
    'ent.>',
    'queue.>',
    'dead.>',
    'cmd.>',
    '_INBOX.>',
    '_INBOX_sender.>',
    '_INBOX_client.>',
    '_INBOX_inventory.>',
    '$JS.>',
  ])('cannot subscribe to %s', async (subject) => {
    const { subscriber } = mesh();
    expect(await refusalsDuring(subscriber, () => subscriber.subscribe(subject))).toEqual([`subscription ${subject}`]);
  });

  test('cannot have JetStream answer into a log or as an event', async () => {
    const { client, inventory, operator, subscriber } = mesh();
    await makeConsumer(subscriber, 'forger', 'forged');
    await commitMany(inventory, 'forged', 2);
    const before = await contents(operator);
    const requests = [
      'INFO',
      'STREAM.INFO.ENTITIES_inventory',
      'DIRECT.GET.ENTITIES_inventory.ent.inventory.forged.>',
      'CONSUMER.MSG.NEXT.ENTITIES_inventory.forger',
    ];
    const events = await arrivalsDuring(client, 'evt.>', async () => {
      const refused = await refusalsDuring(subscriber, async () => {
        for (const request of requests) {
          subscriber.publish(`${api}.${request}`, '', { reply: 'ent.lock.forged.0.acquired' });
          subscriber.publish(`${api}.${request}`, '', { reply: 'evt.lock.acquired' });
        }
        await sleep(150);
      });
      expect(refused).toEqual([]);
    });
    expect(events).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each([
    ['pushed', 'ent.lock.pushed.0.acquired'],
    ['queued', 'queue.cmd.lock.x.acquire'],
    ['buried', 'dead.lock.x'],
  ])('cannot have a log %s: %s', async (name, target) => {
    const { inventory, operator, subscriber } = mesh();
    await commitMany(inventory, name, 2);
    const before = await contents(operator);
    const config = {
      name,
      durable_name: name,
      deliver_subject: target,
      ack_policy: 'none',
      deliver_policy: 'all',
    };
    const request = JSON.stringify({ stream_name: 'ENTITIES_inventory', config });
    await subscriber.request(`${api}.CONSUMER.CREATE.ENTITIES_inventory.${name}`, request);
    await commitMany(inventory, `${name}-later`, 1);
    await sleep(300);
    expect(await contents(operator)).toEqual({
      ...before,
      ENTITIES_inventory: (before['ENTITIES_inventory'] ?? 0) + 1,
    });
  });
});

// What README.md says permissions cannot do. If this fails, the server has learned better: change the page, then the test.
test('a subscriber that is taken over can push copies of a log to a client that subscribes to one event by its full name', async () => {
  const { client, inventory, subscriber } = mesh();
  await commitMany(inventory, 'copied', 1);
  const arrived = await arrivalsDuring(
    client,
    'evt.inventory.fulfilled',
    async () => {
      const config = {
        name: 'copier',
        deliver_subject: 'evt.inventory.fulfilled',
        ack_policy: 'none',
        deliver_policy: 'last',
      };
      const request = JSON.stringify({ stream_name: 'ENTITIES_inventory', config });
      await subscriber.request(`${api}.CONSUMER.CREATE.ENTITIES_inventory.copier`, request);
    },
    1,
  );
  expect(arrived).toEqual(['ent.inventory.copied.0.adjusted']);
});
