// Hunts for what an agent needs and production.conf forbids, and for what it allows beyond that.
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { createInbox, headers, type NatsConnection } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { meshForThisFile } from './mesh.ts';
import { arrivalsDuring, refusalsDuring } from './refusals.ts';
import { commit, contents, inventoryLog, lockLog, signals } from './streams.ts';

const mesh = meshForThisFile();

describe('an agent', () => {
  test('reads the settings of its own stream and of the audit trail, which it has made', async () => {
    const { streams } = await jetstreamManager(mesh().lockManager);
    const { config } = await streams.info(lockLog.name);
    expect(config).toMatchObject({ allow_direct: true, allow_msg_schedules: true, republish: lockLog.republish });
    expect((await streams.info(signals.name)).config.subjects).toEqual(signals.subjects);
  });

  test('hears what JetStream says of its streams, and of no others', async () => {
    const { inventory, lockManager, operator } = mesh();
    const manager = await jetstreamManager(operator);
    const advisories = `$JS.EVENT.ADVISORY.STREAM.*.${inventoryLog.name}`;
    const edit = async (): Promise<void> => {
      await manager.streams.update(inventoryLog.name, { ...inventoryLog, max_msgs: 1_000_000 });
    };
    const heard = await arrivalsDuring(inventory, advisories, edit, 1);
    expect(heard).toEqual([`$JS.EVENT.ADVISORY.STREAM.UPDATED.${inventoryLog.name}`]);
    const others = [advisories, '$JS.EVENT.ADVISORY.>', '$JS.EVENT.ADVISORY.CONSUMER.DELETED.ENTITIES_inventory.mine'];
    const refused = await refusalsDuring(lockManager, () => {
      for (const subject of others) lockManager.subscribe(subject, { callback: () => {} });
    });
    expect(refused).toEqual(others.map((subject) => `subscription ${subject}`));
  });

  test('commits with compare-and-set, once per expected sequence', async () => {
    const { inventory } = mesh();
    const subject = 'ent.inventory.sku-cas.0.created';
    const first = await commit(inventory, { subject, body: '{"entity_version":1}', expected: 0 });
    const second = await commit(inventory, { subject, body: '{"entity_version":1}', expected: 0 });
    expect(first.seq).toBeGreaterThan(0);
    expect(second.error).toMatchObject({ err_code: 10071 });
  });

  test('records a refused durable command, which is no event, and goes on from that record', async () => {
    const { client, inventory } = mesh();
    const [created, record] = ['ent.inventory.recorded.0.created', 'ent.inventory.recorded.refused'];
    const events = await arrivalsDuring(
      client,
      'evt.inventory.*',
      async () => {
        const refused = await commit(inventory, { subject: record, body: '{}', expected: 0 });
        expect((await commit(inventory, { subject: created, body: '{}', expected: 0 })).error?.err_code).toBe(10071);
        await commit(inventory, { subject: created, body: '{}', expected: Number(refused.seq) });
      },
      1,
    );
    expect(events).toEqual(['evt.inventory.created']);
  });

  test('asks whether the id of a command is known, and stores nothing by that', async () => {
    const { inventory, operator } = mesh();
    const known = { 'Nats-Msg-Id': 'known' };
    const { seq } = await commit(inventory, {
      subject: 'ent.inventory.probed.0.created',
      body: '{}',
      expected: 0,
      extraHeaders: known,
    });
    const before = await contents(operator);
    const probe = async (id: string): Promise<unknown> => {
      const asked = headers();
      asked.set('Nats-Msg-Id', id);
      asked.set('Nats-Rollup', 'none');
      return (await inventory.request('ent.inventory.probe', '', { headers: asked, timeout: 5_000 })).json();
    };
    expect(await probe('known')).toMatchObject({ duplicate: true, seq });
    expect(await probe('unknown')).toHaveProperty('error');
    expect(await contents(operator)).toEqual(before);
  });

  test('loads an entity by wildcard, from the leader, and by the last message of each of its subjects', async () => {
    const { inventory } = mesh();
    await commit(inventory, { subject: 'ent.inventory.sku-1.0.created', body: 'as it stands', expected: 0 });
    const loaded = await inventory.request('$JS.API.DIRECT.GET.ENTITIES_inventory.ent.inventory.sku-1.>');
    expect(loaded.string()).toBe('as it stands');
    const fromLeader = await (
      await jetstreamManager(inventory)
    ).streams.getMessage(inventoryLog.name, { last_by_subj: 'ent.inventory.sku-1.>' });
    expect(fromLeader?.string()).toBe('as it stands');
    const question = JSON.stringify({ multi_last: ['ent.inventory.sku-1.>'] });
    const last = await inventory.request('$JS.API.DIRECT.GET.ENTITIES_inventory', question);
    expect(last.string()).toBe('as it stands');
  });

  test('commits and loads an entity with the longest id, 256 characters that each encode to twelve', async () => {
    const { client, inventory } = mesh();
    const id = encodeURIComponent('\u{1F512}'.repeat(256)).replaceAll('.', '%2E');
    expect(id).toHaveLength(3072);
    const events = await arrivalsDuring(
      client,
      'evt.inventory.created',
      async () => {
        await commit(inventory, { subject: `ent.inventory.${id}.0.created`, body: 'long', expected: 0 });
      },
      1,
    );
    const loaded = await inventory.request(`$JS.API.DIRECT.GET.ENTITIES_inventory.ent.inventory.${id}.>`);
    expect(loaded.string()).toBe('long');
    expect(events).toEqual(['evt.inventory.created']);
  });

  test('commits a message of 600 KiB, room for the largest state and its event', async () => {
    const { inventory } = mesh();
    const body = 'x'.repeat(600 * 1024);
    expect(
      (await commit(inventory, { subject: 'ent.inventory.big.0.created', body, expected: 0 })).seq,
    ).toBeGreaterThan(0);
  });

  test('leaves the expiry of a lease to the server, which announces it', async () => {
    const { client, lockManager } = mesh();
    const events = await arrivalsDuring(
      client,
      'evt.lock.*',
      async () => {
        const at = new Date(Date.now() + 600).toISOString();
        const extraHeaders = { 'Nats-Schedule': `@at ${at}`, 'Nats-Schedule-Target': 'ent.lock.resource.x.expired' };
        const answer = await commit(lockManager, {
          subject: 'ent.lock.resource.1.acquired',
          body: '{}',
          expected: 0,
          extraHeaders,
        });
        expect(answer.error).toBeUndefined();
      },
      2,
    );
    expect(events).toEqual(['evt.lock.acquired', 'evt.lock.expired']);
  });

  test('tells clients of refusals, which the audit trail keeps', async () => {
    const { client, inventory, lockManager, operator } = mesh();
    const before = (await contents(operator))['SIGNALS'] ?? 0;
    const events = await arrivalsDuring(
      client,
      'evt.>',
      () => {
        for (const kind of ['conflict', 'rejected', 'denied']) inventory.publish(`evt.inventory.${kind}`, '{}');
        lockManager.publish('evt.lock.denied', '{}');
      },
      4,
    );
    expect(events.sort()).toEqual([
      'evt.inventory.conflict',
      'evt.inventory.denied',
      'evt.inventory.rejected',
      'evt.lock.denied',
    ]);
    expect((await contents(operator))['SIGNALS']).toBe(before + 4);
  });

  test('answers commands, queries and service discovery', async () => {
    const { client, inventory, lockManager } = mesh();
    const asService = (connection: NatsConnection, token: string, name: string): Promise<string[]> =>
      refusalsDuring(connection, () => {
        const answering = {
          callback: (_error: unknown, message: { respond(data: string): boolean }) => void message.respond(name),
        };
        for (const subject of [`cmd.${token}.*`, `cmd.${token}.create`, `qry.${token}.*`]) {
          connection.subscribe(subject, { ...answering, queue: name });
        }
        for (const verb of ['PING', 'INFO', 'STATS']) {
          for (const tail of ['', `.${name}`, `.${name}.instance-1`])
            connection.subscribe(`$SRV.${verb}${tail}`, answering);
        }
      });
    expect(await asService(inventory, 'inventory', 'inventory')).toEqual([]);
    expect(await asService(lockManager, 'lock', 'sys_lock_manager')).toEqual([]);

    const asked = [
      'cmd.inventory.create',
      'qry.inventory.get',
      'cmd.lock.acquire',
      'qry.lock.get',
      '$SRV.STATS.sys_lock_manager.instance-1',
    ];
    const answers = await Promise.all(asked.map(async (subject) => (await client.request(subject)).string()));
    expect(answers).toEqual(['inventory', 'inventory', 'sys_lock_manager', 'sys_lock_manager', 'sys_lock_manager']);
  });

  test('cannot be made to answer into a log by a caller who names one as its inbox', async () => {
    const { client, inventory, operator } = mesh();
    const subscription = inventory.subscribe('cmd.inventory.trap', {
      queue: 'inventory',
      callback: (_error, message) => {
        message.respond('forged');
      },
    });
    await inventory.flush();
    const before = await contents(operator);
    const refused = await refusalsDuring(inventory, async () => {
      client.publish('cmd.inventory.trap', '', { reply: 'ent.lock.r.0.acquired' });
      client.publish('cmd.inventory.trap', '', { reply: 'evt.lock.acquired' });
      await client.flush();
      await sleep(100);
    });
    subscription.unsubscribe();
    expect(refused).toEqual(['publish ent.lock.r.0.acquired', 'publish evt.lock.acquired']);
    expect(await contents(operator)).toEqual(before);
  });
});

const forbiddenToPublish = [
  ['another agent’s commits', 'ent.lock.x.0.acquired'],
  ['another agent’s records of refusals', 'ent.lock.x.refused'],
  ['another agent’s probe', 'ent.lock.probe'],
  ['subjects of its own log that are neither a commit nor a record', 'ent.inventory.x'],
  ['records of another name', 'ent.inventory.x.created'],
  ['longer subjects of its own log', 'ent.inventory.x.0.created.y'],
  ['events of commits', 'evt.inventory.updated'],
  ['another agent’s refusals', 'evt.lock.conflict'],
  ['commands', 'cmd.lock.acquire'],
  ['commands to one replica', 'cmd.lock.acquire.r1'],
  ['the end of another’s lease', 'cmd.lock.break'],
  ['another agent’s inbox', '_INBOX_sys_lock_manager.x'],
  ['its own stream’s settings', '$JS.API.STREAM.UPDATE.ENTITIES_inventory'],
  ['the settings of the audit trail', '$JS.API.STREAM.UPDATE.SIGNALS'],
  ['its own stream’s end', '$JS.API.STREAM.DELETE.ENTITIES_inventory'],
  ['its own stream’s purge', '$JS.API.STREAM.PURGE.ENTITIES_inventory'],
  ['the removal of a message', '$JS.API.STREAM.MSG.DELETE.ENTITIES_inventory'],
  ['another agent’s stream', '$JS.API.STREAM.UPDATE.ENTITIES_lock'],
  ['another agent’s messages', '$JS.API.DIRECT.GET.ENTITIES_lock.ent.lock.resource.>'],
  ['a stream of another name', '$JS.API.STREAM.CREATE.TRAP'],
  ['a consumer', '$JS.API.CONSUMER.CREATE.ENTITIES_inventory.spy'],
  ['the server’s own account', '$SYS.REQ.SERVER.PING'],
] as const;

const forbiddenToSubscribe = [
  '>',
  'ent.>',
  'ent.inventory.>',
  'evt.>',
  'cmd.>',
  'cmd.lock.*',
  'cmd.lock.*.r1',
  'cmd.inventory.>',
  '_INBOX.>',
  '_INBOX_client.>',
  '_INBOX_sys_lock_manager.>',
  '$SRV.>',
  '$SYS.>',
];

describe('the agent inventory', () => {
  test.each(forbiddenToPublish)('cannot publish %s: %s', async (_what, subject) => {
    const { inventory, operator } = mesh();
    const before = await contents(operator);
    const arrived = await arrivalsDuring(operator, subject, async () => {
      const refused = await refusalsDuring(inventory, () =>
        inventory.publish(subject, '{}', { reply: createInbox('_INBOX_inventory') }),
      );
      expect(refused).toEqual([`publish ${subject}`]);
    });
    expect(arrived).toEqual([]);
    expect(await contents(operator)).toEqual(before);
  });

  test.each(forbiddenToSubscribe)('cannot subscribe to %s', async (subject) => {
    const { inventory } = mesh();
    expect(await refusalsDuring(inventory, () => inventory.subscribe(subject))).toEqual([`subscription ${subject}`]);
  });

  test('listens to commands only as a member of its queue group, and beside it to those for one replica', async () => {
    const { inventory } = mesh();
    const refused = await refusalsDuring(inventory, () => {
      inventory.subscribe('cmd.inventory.*.r1');
      inventory.subscribe('cmd.inventory.*');
      inventory.subscribe('cmd.inventory.*', { queue: 'another' });
    });
    expect(refused).toEqual(['subscription cmd.inventory.*', 'subscription cmd.inventory.*']);
  });
});

describe('the agent sys_lock_manager', () => {
  test.each([
    'ent.inventory.x.0.created',
    'evt.lock.acquired',
    'ent.inventory.x.refused',
    'ent.inventory.probe',
    'cmd.lock.break',
    'cmd.lock.break.r1',
    '$JS.API.STREAM.PURGE.ENTITIES_lock',
    '$JS.API.STREAM.UPDATE.ENTITIES_inventory',
  ])('cannot publish %s', async (subject) => {
    const { lockManager, operator } = mesh();
    const before = await contents(operator);
    expect(await refusalsDuring(lockManager, () => lockManager.publish(subject, '{}'))).toEqual([`publish ${subject}`]);
    expect(await contents(operator)).toEqual(before);
  });
});

// What README.md says permissions cannot do. If this fails, the server has learned better: change the page, then the test.
test('an agent that is taken over can have JetStream answer into another agent’s log', async () => {
  const { inventory, operator } = mesh();
  const before = (await contents(operator))['ENTITIES_lock'] ?? 0;
  const refused = await refusalsDuring(inventory, async () => {
    inventory.publish('$JS.API.INFO', '', { reply: 'ent.lock.forged.0.acquired' });
    await inventory.flush();
    await sleep(150);
  });
  expect(refused).toEqual([]);
  expect((await contents(operator))['ENTITIES_lock']).toBe(before + 1);
});
