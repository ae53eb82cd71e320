// Hunts for what durable commands and dead letters need of an agent and production.conf forbids, and for what it allows beyond that.
import { jetstreamManager } from '@nats-io/jetstream';
import { createInbox } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { takeCommand } from './executor.ts';
import { meshForThisFile } from './mesh.ts';
import { refusalsDuring } from './refusals.ts';
import { contents, deadLetters } from './streams.ts';

const mesh = meshForThisFile();

describe('an agent', () => {
  test('reads the settings of its queue and of the stream of the dead letters, which it has made', async () => {
    for (const [connection, token] of [
      [mesh().inventory, 'inventory'],
      [mesh().lockManager, 'lock'],
    ] as const) {
      const { streams } = await jetstreamManager(connection);
      const { config } = await streams.info(`COMMANDS_${token}`);
      expect(config).toMatchObject({ retention: 'workqueue', allow_msg_schedules: true });
      expect((await streams.info(deadLetters.name)).config.subjects).toEqual(deadLetters.subjects);
    }
  });

  test('takes a command by its consumer, which leaves the queue when it is acknowledged', async () => {
    const { inventory, operator, sender } = mesh();
    await sender.request('queue.cmd.inventory.x.adjust', '{}');
    expect((await contents(operator))['COMMANDS_inventory']).toBe(1);
    expect(await takeCommand(inventory)).toBe('queue.cmd.inventory.x.adjust');
    expect((await contents(operator))['COMMANDS_inventory']).toBe(0);
  });

  test('deletes a command that it cannot acknowledge, writes its decisions down, buries one and puts it back', async () => {
    const { inventory, lockManager, operator } = mesh();
    const before = await contents(operator);
    for (const [connection, token] of [
      [inventory, 'inventory'],
      [lockManager, 'lock'],
    ] as const) {
      const stored = await connection.request(`queue.cmd.${token}.x.again`, '{}');
      const { seq } = stored.json<{ seq: number }>();
      const { streams } = await jetstreamManager(connection);
      const decided = (await connection.request(`queue.decided.${token}.x.executed`, '')).json<{ seq: number }>();
      expect(await streams.deleteMessage(`COMMANDS_${token}`, decided.seq, false)).toBe(true);
      expect((await streams.getMessage(`COMMANDS_${token}`, { seq }))?.subject).toBe(`queue.cmd.${token}.x.again`);
      expect(await streams.deleteMessage(`COMMANDS_${token}`, seq, false)).toBe(true);
      const letter = (await connection.request(`dead.${token}.x`, '{}')).json<{ seq: number }>();
      expect((await streams.getMessage('DEAD_LETTERS', { last_by_subj: `dead.${token}.*` }))?.seq).toBe(letter.seq);
      expect(await streams.deleteMessage('DEAD_LETTERS', letter.seq, false)).toBe(true);
    }
    expect(await contents(operator)).toEqual(before);
  });

  test('answers a client that lists and reads its dead letters', async () => {
    const { client, inventory, lockManager } = mesh();
    const subscriptions = (['list', 'get'] as const).flatMap((verb) => [
      inventory.subscribe(`letters.inventory.${verb}`, { queue: 'inventory', callback: answerWith('inventory') }),
      lockManager.subscribe(`letters.lock.${verb}`, { queue: 'sys_lock_manager', callback: answerWith('lock') }),
    ]);
    await Promise.all([inventory.flush(), lockManager.flush()]);
    for (const verb of ['list', 'get']) {
      expect((await client.request(`letters.inventory.${verb}`)).string()).toBe('inventory');
      expect((await client.request(`letters.lock.${verb}`)).string()).toBe('lock');
    }
    for (const subscription of subscriptions) subscription.unsubscribe();
  });
});

function answerWith(text: string): (error: unknown, message: { respond(data: string): boolean }) => void {
  return (_error, message) => void message.respond(text);
}

/** With the other agent's token as `other`. */
function forbiddenToPublish(own: string, other: string): string[] {
  return [
    `queue.cmd.${other}.x.x`,
    `queue.later.${other}.x.x`,
    `queue.cmd.${own}.again`,
    `queue.decided.${other}.x.executed`,
    `dead.${other}.x`,
    'dead.another_reaction.x',
    `$JS.API.CONSUMER.CREATE.ENTITIES_${own}.react_another`,
    `$JS.API.CONSUMER.CREATE.ENTITIES_${other}.react_inventory_expiry`,
    `$JS.ACK.ENTITIES_${other}.react_inventory_expiry.1.1.1.1.0`,
    `letters.${own}.list`,
    `letters.${other}.drop`,
    `$JS.API.STREAM.INFO.COMMANDS_${other}`,
    `$JS.API.STREAM.UPDATE.COMMANDS_${own}`,
    '$JS.API.STREAM.UPDATE.DEAD_LETTERS',
    `$JS.API.STREAM.MSG.GET.COMMANDS_${other}`,
    `$JS.API.STREAM.MSG.DELETE.COMMANDS_${other}`,
    `$JS.API.STREAM.DELETE.COMMANDS_${own}`,
    `$JS.API.STREAM.PURGE.COMMANDS_${own}`,
    '$JS.API.STREAM.DELETE.DEAD_LETTERS',
    '$JS.API.STREAM.PURGE.DEAD_LETTERS',
    `$JS.API.CONSUMER.CREATE.COMMANDS_${other}.executor`,
    `$JS.API.CONSUMER.MSG.NEXT.COMMANDS_${other}.executor`,
    `$JS.API.CONSUMER.UNPIN.COMMANDS_${other}.executor`,
    `$JS.ACK.COMMANDS_${other}.executor.1.1.1.1.0`,
    `$JS.API.CONSUMER.CREATE.COMMANDS_${own}.another`,
    `$JS.API.CONSUMER.DELETE.COMMANDS_${own}.executor`,
    `$JS.API.CONSUMER.CREATE.DEAD_LETTERS.executor`,
  ];
}

const subscriptions = ['queue.>', 'dead.>', 'letters.>', 'letters.inventory.*', 'letters.lock.*', '_INBOX_sender.>'];

describe.each([
  ['inventory', 'inventory', 'lock'],
  ['lockManager', 'lock', 'inventory'],
] as const)('the agent %s', (name, own, other) => {
  test.each(forbiddenToPublish(own, other))('cannot publish %s', async (subject) => {
    const { [name]: agent, operator } = mesh();
    const before = await contents(operator);
    const reply = createInbox(name === 'inventory' ? '_INBOX_inventory' : '_INBOX_sys_lock_manager');
    expect(await refusalsDuring(agent, () => agent.publish(subject, '{}', { reply }))).toEqual([`publish ${subject}`]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each(subscriptions)('cannot subscribe to %s', async (subject) => {
    const { [name]: agent } = mesh();
    expect(await refusalsDuring(agent, () => agent.subscribe(subject))).toEqual([`subscription ${subject}`]);
  });
});

describe('the reaction inventory_expiry', () => {
  test.each([
    'queue.later.inventory.x.x',
    'queue.decided.lock.x.cancelled',
    'dead.inventory_expiry.x',
    'letters.inventory_expiry.drop',
  ])('is not the lock manager’s: it cannot publish %s', async (subject) => {
    const { lockManager } = mesh();
    const refused = await refusalsDuring(lockManager, () => lockManager.publish(subject, '{}'));
    expect(refused).toEqual([`publish ${subject}`]);
  });

  test('answers for its dead letters only as a member of its queue group', async () => {
    const { inventory } = mesh();
    const refused = await refusalsDuring(inventory, () => {
      inventory.subscribe('letters.inventory_expiry.list', { queue: 'inventory_expiry' });
      inventory.subscribe('letters.inventory_expiry.list', { queue: 'inventory' });
      inventory.subscribe('letters.inventory_expiry.*');
    });
    expect(refused).toEqual(['subscription letters.inventory_expiry.list', 'subscription letters.inventory_expiry.*']);
  });
});

// What README.md says permissions cannot do: DEAD_LETTERS is one stream for all.
test('an agent can read and delete a dead letter of another', async () => {
  const { inventory, lockManager } = mesh();
  const letter = await lockManager.request('dead.lock.read-by-another', 'of lock');
  const { seq } = letter.json<{ seq: number }>();
  const { streams } = await jetstreamManager(inventory);
  expect((await streams.getMessage('DEAD_LETTERS', { seq }))?.string()).toBe('of lock');
  expect(await streams.deleteMessage('DEAD_LETTERS', seq)).toBe(true);
});
