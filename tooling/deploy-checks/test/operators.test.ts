// Hunts for work a human cannot do, and for the mistakes one cannot take back.
import { jetstreamManager } from '@nats-io/jetstream';
import { expect, test } from 'vitest';
import { meshForThisFile } from './mesh.ts';
import { arrivalsDuring, refusalsDuring } from './refusals.ts';
import { commit, contents } from './streams.ts';

const mesh = meshForThisFile();

test('an operator manages streams and consumers', async () => {
  const manager = await jetstreamManager(mesh().operator);
  await manager.streams.add({ name: 'BACKUP', subjects: ['backup.>'] });
  await manager.consumers.add('ENTITIES_inventory', { durable_name: 'orders' });
  expect((await manager.consumers.info('ENTITIES_inventory', 'orders')).name).toBe('orders');
  expect(await manager.consumers.delete('ENTITIES_inventory', 'orders')).toBe(true);
  expect(await manager.streams.delete('BACKUP')).toBe(true);
});

test('an operator asks agents with the inbox that the command line tool uses', async () => {
  const { inventory, operator } = mesh();
  const subscription = inventory.subscribe('$SRV.PING', {
    callback: (_error, message) => {
      message.respond('pong');
    },
  });
  await inventory.flush();
  const answer = await operator.request('$SRV.PING');
  subscription.unsubscribe();
  expect(answer.subject).toMatch(/^_INBOX\./);
});

test.each(['ent.inventory.sku-1.0.created', 'evt.inventory.created', 'dead.inventory.x'])(
  'an operator cannot write %s by hand',
  async (subject) => {
    const { operator } = mesh();
    const before = await contents(operator);
    expect(await refusalsDuring(operator, () => operator.publish(subject, '{}'))).toEqual([`publish ${subject}`]);
    expect(await contents(operator)).toEqual(before);
  },
);

test('an operator may break a lease', async () => {
  const { lockManager, operator } = mesh();
  const subscription = lockManager.subscribe('cmd.lock.*', {
    queue: 'sys_lock_manager',
    callback: (_error, message) => {
      message.respond(message.subject);
    },
  });
  await lockManager.flush();
  const answer = await operator.request('cmd.lock.break', '{}');
  subscription.unsubscribe();
  expect(answer.string()).toBe('cmd.lock.break');
});

test('an operator replays and drops dead letters, and sends durable commands', async () => {
  const { inventory, operator } = mesh();
  const subscription = inventory.subscribe('letters.inventory.*', {
    queue: 'inventory',
    callback: (_error, message) => {
      message.respond(message.subject);
    },
  });
  await inventory.flush();
  for (const verb of ['list', 'get', 'replay', 'drop']) {
    expect((await operator.request(`letters.inventory.${verb}`)).string()).toBe(`letters.inventory.${verb}`);
  }
  subscription.unsubscribe();
  const stored = await operator.request('queue.cmd.inventory.x.adjust', '{}');
  expect(stored.json()).toMatchObject({ stream: 'COMMANDS_inventory' });
});

test('the server’s own account answers the system user and nobody of the mesh', async () => {
  const { operator, system } = mesh();
  const ping = '$SYS.REQ.SERVER.PING';
  expect((await system.request(ping)).json()).toHaveProperty('server.name', 'meshforge');
  await expect(operator.request(ping)).rejects.toThrow(/no responders/);
});

test('the system user neither hears the mesh nor writes to it', async () => {
  const { inventory, operator, system } = mesh();
  const before = await contents(operator);
  const heard = await arrivalsDuring(system, 'evt.>', async () => {
    await commit(inventory, { subject: 'ent.inventory.unheard.0.created', body: '{}', expected: 0 });
    system.publish('ent.inventory.unheard.0.created', '{}');
    await system.flush();
  });
  expect(heard).toEqual([]);
  expect(await contents(operator)).toEqual({ ...before, ENTITIES_inventory: (before['ENTITIES_inventory'] ?? 0) + 1 });
});
