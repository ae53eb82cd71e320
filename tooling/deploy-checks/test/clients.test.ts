// Hunts for what a client may do beyond commands, queries and live events.
import { setTimeout as sleep } from 'node:timers/promises';
import { createUser } from '@nats-io/nkeys';
import { connect, createInbox, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { meshForThisFile } from './mesh.ts';
import { arrivalsDuring, refusalsDuring } from './refusals.ts';
import { commit, contents } from './streams.ts';

const mesh = meshForThisFile();

const forbiddenToPublish = [
  'ent.inventory.x.0.created',
  'ent.lock.x.0.acquired',
  'ent.inventory.x.refused',
  'ent.lock.x.refused',
  'ent.inventory.probe',
  'ent.lock.probe',
  'ent.x',
  'evt.inventory.created',
  'evt.inventory.conflict',
  'evt.lock.expired',
  'cmd.lock.break',
  'cmd.lock.break.r1',
  'cmd.lock.break.r1.x',
  'queue.cmd.inventory.x.adjust',
  'queue.later.inventory.x.x',
  'queue.decided.inventory.x.cancelled',
  'dead.inventory.x',
  'letters.inventory.replay',
  'letters.inventory.drop',
  'letters.lock.drop',
  'letters.inventory.other',
  '_INBOX.x',
  '_INBOX_client.x',
  '_INBOX_inventory.x',
  '_INBOX_sender.x',
  '$JS.API.INFO',
  '$JS.API.STREAM.INFO.ENTITIES_inventory',
  '$JS.API.STREAM.CREATE.TRAP',
  '$JS.API.STREAM.UPDATE.ENTITIES_inventory',
  '$JS.API.STREAM.DELETE.ENTITIES_inventory',
  '$JS.API.STREAM.PURGE.ENTITIES_inventory',
  '$JS.API.STREAM.MSG.DELETE.ENTITIES_inventory',
  '$JS.API.STREAM.MSG.GET.ENTITIES_inventory',
  '$JS.API.STREAM.PURGE.COMMANDS_inventory',
  '$JS.API.STREAM.MSG.GET.COMMANDS_inventory',
  '$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS',
  '$JS.API.CONSUMER.MSG.NEXT.COMMANDS_inventory.executor',
  '$JS.API.DIRECT.GET.ENTITIES_inventory.ent.inventory.x.>',
  '$JS.API.CONSUMER.CREATE.ENTITIES_inventory.spy',
  '$JS.ACK.ENTITIES_inventory.orders.1.1.1.1.0',
  '$SYS.REQ.SERVER.PING',
  '$SYS.REQ.ACCOUNT.MESHFORGE.CONNZ',
];

const forbiddenToSubscribe = [
  '>',
  '*.>',
  'ent.>',
  'ent.inventory.>',
  'queue.>',
  'queue.cmd.inventory.*.*',
  'dead.>',
  'letters.inventory.*',
  'cmd.>',
  'cmd.inventory.create',
  'cmd.inventory.*.*',
  'qry.>',
  '_INBOX.>',
  '_INBOX_inventory.>',
  '_INBOX_sys_lock_manager.>',
  '_INBOX_subscriber.>',
  '_INBOX_sender.>',
  '*.x.*',
  '$SRV.>',
  '$JS.>',
  '$SYS.>',
];

describe('a client', () => {
  test.each(forbiddenToPublish)('cannot publish %s', async (subject) => {
    const { client, operator } = mesh();
    const before = await contents(operator);
    const arrived = await arrivalsDuring(operator, subject, async () => {
      const reply = createInbox('_INBOX_client');
      expect(await refusalsDuring(client, () => client.publish(subject, '{}', { reply }))).toEqual([
        `publish ${subject}`,
      ]);
    });
    expect(arrived).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each(forbiddenToSubscribe)('cannot subscribe to %s, nor as a member of a queue group', async (subject) => {
    const { client } = mesh();
    const refused = await refusalsDuring(client, () => {
      client.subscribe(subject);
      client.subscribe(subject, { queue: 'inventory' });
    });
    expect(refused).toEqual([`subscription ${subject}`, `subscription ${subject}`]);
  });

  test('hears nothing of a subscription it was refused', async () => {
    const { client, inventory, operator } = mesh();
    const heard: string[] = [];
    await refusalsDuring(client, () => {
      for (const subject of ['ent.>', '_INBOX_inventory.>', '>']) {
        client.subscribe(subject, {
          callback: (error, message) => {
            if (error === null) heard.push(message.subject);
          },
        });
      }
    });
    operator.publish('_INBOX_inventory.secret', '');
    await commit(inventory, { subject: 'ent.inventory.heard.0.created', body: '{}', expected: 0 });
    await sleep(100);
    expect(heard).toEqual([]);
  });

  test('receives the event that the server makes of a commit, with its place in the stream', async () => {
    const { client, inventory } = mesh();
    const subscription = client.subscribe('evt.inventory.updated', { max: 1 });
    await client.flush();
    const { seq } = await commit(inventory, {
      subject: 'ent.inventory.sku-1.0.updated',
      body: '{"entity_version":1}',
      expected: 0,
    });
    for await (const event of subscription) {
      expect(event.json()).toEqual({ entity_version: 1 });
      expect(event.headers?.get('Nats-Stream')).toBe('ENTITIES_inventory');
      expect(event.headers?.get('Nats-Sequence')).toBe(String(seq));
    }
  });

  test('hears no event of a commit that was refused', async () => {
    const { client, inventory } = mesh();
    const subject = 'ent.inventory.refused.0.created';
    await commit(inventory, { subject, body: '{}', expected: 0 });
    const arrived = await arrivalsDuring(client, 'evt.inventory.created', async () => {
      expect((await commit(inventory, { subject, body: '{}', expected: 0 })).error).toBeDefined();
    });
    expect(arrived).toEqual([]);
  });

  test('gets an answer to its own inbox', async () => {
    const { client, lockManager } = mesh();
    const subscription = lockManager.subscribe('cmd.lock.*', {
      queue: 'sys_lock_manager',
      callback: (_error, message) => {
        message.respond(message.reply ?? '');
      },
    });
    await lockManager.flush();
    const answer = await client.request('cmd.lock.acquire', '{}');
    subscription.unsubscribe();
    expect(answer.string()).toMatch(/^_INBOX_client\./);
  });
});

describe('a stranger', () => {
  const knock = async (options: Parameters<typeof connect>[0]): Promise<NatsConnection> =>
    await connect({ servers: mesh().server.url, reconnect: false, ...options });

  test('without a key is not let in', async () => {
    await expect(knock({})).rejects.toThrow(/authorization/i);
  });

  test('with a key the server does not know is not let in', async () => {
    await expect(knock({ authenticator: nkeyAuthenticator(createUser().getSeed()) })).rejects.toThrow(/authorization/i);
  });

  test('with a name and a password is not let in', async () => {
    await expect(knock({ user: 'client', pass: 'client' })).rejects.toThrow(/authorization/i);
  });

  test('who knows only a public key is not let in', async () => {
    const nkey = mesh().server.users.operator.publicKey;
    await expect(knock({ authenticator: () => ({ nkey, sig: 'AAAA' }) })).rejects.toThrow(/authorization/i);
  });
});
