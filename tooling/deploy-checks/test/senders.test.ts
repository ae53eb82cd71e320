// Hunts for durable commands a sender cannot store, and for all that it may do beyond that.
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { meshForThisFile } from './mesh.ts';
import { arrivalsDuring, refusalsDuring } from './refusals.ts';
import { contents } from './streams.ts';

const mesh = meshForThisFile();
/** Long after the test. */
const laterAt = '@at 2100-01-01T00:00:00Z';

interface Ack {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code: number; readonly description: string };
}

function lines(of: Readonly<Record<string, string>>): ReturnType<typeof headers> {
  const made = headers();
  for (const [name, value] of Object.entries(of)) made.set(name, value);
  return made;
}

async function store(
  connection: NatsConnection,
  subject: string,
  of: Readonly<Record<string, string>> = {},
  body = '{}',
): Promise<Ack> {
  return (await connection.request(subject, body, { headers: lines(of), timeout: 5_000 })).json<Ack>();
}

describe('a sender', () => {
  test('stores commands to every agent, is told so, and stores a repetition once', async () => {
    const { sender } = mesh();
    const id = { 'Nats-Msg-Id': 'once' };
    const first = await store(sender, 'queue.cmd.inventory.x.adjust', id);
    expect(first).toMatchObject({ stream: 'COMMANDS_inventory', seq: expect.any(Number) as number });
    expect(await store(sender, 'queue.cmd.inventory.x.adjust', id)).toMatchObject({ seq: first.seq, duplicate: true });
    expect(await store(sender, 'queue.cmd.lock.x.acquire')).toMatchObject({ stream: 'COMMANDS_lock' });
  });

  test('sends for later, and takes it back', async () => {
    const { operator, sender } = mesh();
    const soon = new Date(Date.now() + 1_000).toISOString();
    const target = { 'Nats-Schedule-Target': 'queue.cmd.inventory.x.adjust' };
    const before = (await contents(operator))['COMMANDS_inventory'] ?? 0;
    const comes = await store(sender, 'queue.later.inventory.x.comes', { 'Nats-Schedule': `@at ${soon}`, ...target });
    const goes = await store(sender, 'queue.later.inventory.x.goes', { 'Nats-Schedule': `@at ${soon}`, ...target });
    expect([comes.stream, goes.stream]).toEqual(['COMMANDS_inventory', 'COMMANDS_inventory']);
    const mark = { 'Nats-Rollup': 'sub', 'Nats-TTL': '1s' };
    const expected = 'Nats-Expected-Last-Subject-Sequence';
    const none = { [expected]: '0', [`${expected}-Subject`]: 'queue.decided.inventory.goes.*' };
    const decision = 'queue.decided.inventory.goes.cancelled';
    expect(await store(sender, decision, { 'Nats-TTL': '1s', ...none }, '')).toMatchObject({
      seq: Number(goes.seq) + 1,
    });
    const subject = 'queue.later.inventory.x.goes';
    const asked = await store(sender, subject, { ...mark, [expected]: String(Number.MAX_SAFE_INTEGER) }, '');
    expect(asked.error?.description).toBe(`wrong last sequence: ${goes.seq}`);
    const cancelled = await store(sender, subject, { ...mark, [expected]: String(goes.seq) }, '');
    expect(cancelled.error).toBeUndefined();
    await expect.poll(async () => (await contents(operator))['COMMANDS_inventory']).toBe(before + 1);
    await sleep(500);
    expect((await contents(operator))['COMMANDS_inventory']).toBe(before + 1);
  });

  test('is told of outcomes at its inbox, by each agent', async () => {
    const { inventory, lockManager, sender } = mesh();
    const inbox = createInbox('_INBOX_sender');
    const told: Msg[] = [];
    sender.subscribe(`${inbox}.*`, { callback: (_error, message) => void told.push(message) });
    await sender.flush();
    inventory.publish(`${inbox}.1`, 'of inventory', { headers: lines({ 'Mesh-Command-Id': 'c' }) });
    lockManager.publish(`${inbox}.2`, 'of lock');
    await expect.poll(() => told.length).toBe(2);
    await sleep(100);
    const bodies = told.map((message) => message.string()).sort();
    expect(bodies).toEqual(['of inventory', 'of lock']);
    expect(told.find(({ subject }) => subject === `${inbox}.1`)?.headers?.get('Mesh-Command-Id')).toBe('c');
  });

  test.each([
    'ent.inventory.x.0.created',
    'ent.inventory.x.refused',
    'ent.inventory.probe',
    'evt.inventory.created',
    'cmd.inventory.adjust',
    'cmd.lock.break',
    'cmd.lock.break.r1',
    'qry.inventory.get',
    'dead.inventory.x',
    'letters.inventory.list',
    'letters.inventory.replay',
    'queue.cmd.lock.x.break',
    'queue.cmd.lock.any%20entity.break',
    'queue.cmd.inventory',
    'queue.cmd.inventory.adjust',
    'queue.later.inventory.x',
    'queue.other.inventory.x',
    'queue.decided.inventory.x.executed',
    '_INBOX.x',
    '_INBOX_client.x',
    '_INBOX_sender.x',
    '$SRV.PING',
    '$JS.API.INFO',
    '$JS.API.STREAM.INFO.COMMANDS_inventory',
    '$JS.API.STREAM.PURGE.COMMANDS_inventory',
    '$JS.API.STREAM.MSG.DELETE.COMMANDS_inventory',
    '$JS.API.STREAM.MSG.GET.DEAD_LETTERS',
    '$JS.API.CONSUMER.CREATE.COMMANDS_inventory.thief',
    '$JS.API.CONSUMER.MSG.NEXT.COMMANDS_inventory.executor',
    '$JS.ACK.COMMANDS_inventory.executor.1.1.1.1.0',
    '$JS.MESHFORGE.API.STREAM.INFO.COMMANDS_inventory',
    '$SYS.REQ.SERVER.PING',
  ])('cannot publish %s', async (subject) => {
    const { operator, sender } = mesh();
    const before = await contents(operator);
    const arrived = await arrivalsDuring(operator, subject, async () => {
      expect(await refusalsDuring(sender, () => sender.publish(subject, '{}'))).toEqual([`publish ${subject}`]);
    });
    expect(arrived).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each([
    '>',
    'queue.>',
    'queue.cmd.inventory.*.*',
    'evt.>',
    'dead.>',
    '_INBOX.>',
    '_INBOX_client.>',
    '$JS.>',
    '_R_.>',
  ])('cannot subscribe to %s', async (subject) => {
    const { sender } = mesh();
    expect(await refusalsDuring(sender, () => sender.subscribe(subject))).toEqual([`subscription ${subject}`]);
  });

  test('cannot have JetStream acknowledge into a log, a dead letter, a queue or a command', async () => {
    const { client, inventory, operator, sender } = mesh();
    const before = await contents(operator);
    const replies = [
      'ent.inventory.x.0.created',
      'ent.lock.x.0.acquired',
      'evt.inventory.created',
      'evt.inventory.conflict',
      'dead.inventory.x',
      'cmd.inventory.create',
      'letters.inventory.drop',
      '_INBOX_client.x',
      '$JS.API.STREAM.PURGE.ENTITIES_inventory',
    ];
    const heard: string[] = [];
    const listen = (connection: NatsConnection, subject: string): void =>
      void connection.subscribe(subject, { callback: (error, message) => void (error ?? heard.push(message.subject)) });
    for (const subject of ['evt.>', '_INBOX_client.>']) listen(client, subject);
    inventory.subscribe('cmd.inventory.*', { queue: 'inventory', callback: () => void heard.push('a command') });
    inventory.subscribe('letters.inventory.*', { queue: 'inventory', callback: () => void heard.push('a letter') });
    await Promise.all([client.flush(), inventory.flush()]);
    const refused = await refusalsDuring(sender, () => {
      for (const reply of replies) sender.publish('queue.cmd.inventory.x.adjust', '{}', { reply });
    });
    await sleep(500);
    expect(refused).toEqual([]);
    expect(heard).toEqual([]);
    const stored = (before['COMMANDS_inventory'] ?? 0) + replies.length;
    expect(await contents(operator)).toEqual({ ...before, COMMANDS_inventory: stored });
  });

  test('cannot have a command come out anywhere but in the queue that it stands in', async () => {
    const { operator, sender } = mesh();
    const before = await contents(operator);
    const targets = [
      'ent.inventory.x.0.created',
      'evt.inventory.created',
      'dead.inventory.x',
      'queue.cmd.lock.x.acquire',
    ];
    for (const target of targets) {
      const schedule = { 'Nats-Schedule': laterAt, 'Nats-Schedule-Target': target };
      expect((await store(sender, 'queue.later.inventory.x.x', schedule)).error?.description).toMatch(/schedul/);
    }
    expect(await contents(operator)).toEqual(before);
  });

  test('cannot have the server write traces of its commands into a log, or send them as events', async () => {
    const { client, operator, sender } = mesh();
    const before = await contents(operator);
    const heard = await arrivalsDuring(client, 'evt.>', async () => {
      for (const destination of ['ent.inventory.traced.0.created', 'evt.inventory.fulfilled', 'dead.inventory.x']) {
        const traced = lines({ 'Nats-Trace-Dest': destination, 'Nats-Trace-Only': 'true' });
        sender.publish('queue.cmd.inventory.x.adjust', '{}', { headers: traced });
      }
      await sender.flush();
      await sleep(300);
    });
    expect(heard).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });
});

// What README.md says permissions cannot do. If one of these fails, the server has learned better: change the page, then the test.
describe('a sender that is taken over', () => {
  test('can wipe all commands to an agent', async () => {
    const { operator, sender } = mesh();
    for (let i = 0; i < 3; i++) await store(sender, 'queue.cmd.lock.x.acquire');
    const before = await contents(operator);
    expect(before['COMMANDS_lock']).toBeGreaterThan(2);
    await store(sender, 'queue.later.lock.x.x', { 'Nats-Rollup': 'all' });
    expect(await contents(operator)).toEqual({ ...before, COMMANDS_lock: 1 });
  });

  test('can do so because schedules need roll-ups: the server has no queue of the one without the other', async () => {
    const { streams } = await jetstreamManager(mesh().operator);
    const settings = { name: 'LATER', subjects: ['later.>'], allow_msg_schedules: true, allow_rollup_hdrs: false };
    const refusing = { ...settings, deny_purge: true };
    const now = { allow_rollup_hdrs: true, deny_purge: false };
    expect((await streams.add(refusing)).config).toMatchObject(now);
    expect((await streams.update('LATER', refusing)).config).toMatchObject(now);
    await streams.delete('LATER');
  });

  test('can cancel what another sender sent for later', async () => {
    const { operator, sender, server } = mesh();
    const other = await server.connect('sender');
    const schedule = { 'Nats-Schedule': laterAt, 'Nats-Schedule-Target': 'queue.cmd.inventory.x.adjust' };
    await store(other, 'queue.later.inventory.x.of-another', schedule);
    const before = (await contents(operator))['COMMANDS_inventory'] ?? 0;
    await store(sender, 'queue.later.inventory.x.of-another', { 'Nats-Rollup': 'sub', 'Nats-TTL': '1s' });
    await expect.poll(async () => (await contents(operator))['COMMANDS_inventory']).toBe(before - 1);
  });

  // Hence the lock manager takes no `break` from its queue.
  test('can have a schedule store what it may not store itself', async () => {
    const { lockManager, sender } = mesh();
    const schedule = { 'Nats-Schedule': '@at 2020-01-01T00:00:00Z', 'Nats-Schedule-Target': 'queue.cmd.lock.x.break' };
    const { seq = 0 } = await store(sender, 'queue.cmd.lock.x.acquire', schedule);
    const query = { seq, next_by_subj: 'queue.cmd.lock.x.break' };
    const manager = await jetstreamManager(lockManager);
    const read = async (): Promise<unknown> => (await manager.streams.getMessage('COMMANDS_lock', query))?.subject;
    await expect.poll(read).toBe('queue.cmd.lock.x.break');
  });
});

test('a stream on one server goes on after a message that expects another last id, which stops a replicated one', async () => {
  const { sender } = mesh();
  const refused = await store(sender, 'queue.cmd.inventory.x.adjust', { 'Nats-Expected-Last-Msg-Id': 'another' });
  expect(refused.error?.description).toMatch(/wrong last msg ID/);
  expect(await store(sender, 'queue.cmd.inventory.x.adjust')).toMatchObject({ stream: 'COMMANDS_inventory' });
});

test('in the account of the agents an acknowledgement goes into any log: senders need one of their own', async () => {
  const { operator } = mesh();
  const before = (await contents(operator))['ENTITIES_inventory'] ?? 0;
  operator.publish('queue.cmd.inventory.x.adjust', '{}', { reply: 'ent.inventory.forged.0.created' });
  await expect.poll(async () => (await contents(operator))['ENTITIES_inventory']).toBe(before + 1);
});
