// Hunts: two commands that both win, a command that loses without a reason, versions with gaps or repeats, and entities
// that wait for each other, while many clients write through several replicas at once.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  byEntity,
  expectEachOnce,
  expectGapless,
  readCommits,
} from '../../../packages/runtime/test/support/stream-witness.ts';
import {
  openConnection,
  sendCommand,
  type NatsConnection,
  type RawCommand,
  type RawReply,
} from '../../../packages/runtime/test/support/wire.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { startReplicas, type Replicas } from './support/replicas.ts';

const CLIENTS = 64;

let server: NatsServer;
let replicas: Replicas;
let clients: NatsConnection[];

beforeAll(async () => {
  server = await startNatsServer();
  replicas = await startReplicas(server.url, 3);
  clients = await Promise.all(Array.from({ length: CLIENTS }, () => openConnection(server.url)));
});

afterAll(async () => {
  await Promise.all((clients ?? []).map((client) => client.close()));
  await replicas?.stop();
  await server?.stop();
});

/** Sends through any of the clients. */
function send(action: string, command: RawCommand, client = 0): Promise<RawReply> {
  return sendCommand(clients.at(client % CLIENTS) as NatsConnection, 'inventory', action, command);
}

/** One command of each client, all in flight together. */
function sendFromAll(action: string, command: (client: number) => RawCommand): Promise<RawReply[]> {
  return Promise.all(Array.from({ length: CLIENTS }, (_, client) => send(action, command(client), client)));
}

const versionOf = (reply: RawReply): number => reply.payload['entity_version'] as number;

async function commitsOf(entityId: string): Promise<ReturnType<typeof readCommits>> {
  return byEntity(await readCommits(clients.at(0) as NatsConnection, 'inventory')).get(entityId) ?? [];
}

test('I3: of 64 clients that expect the same version exactly one commits, the others learn the true version', async () => {
  await send('create', { entityId: 'raced', data: { name: 'bolt', quantity: 1_000 } });
  for (const expectedVersion of [1, 2, 3]) {
    const replies = await sendFromAll('adjust', () => ({ entityId: 'raced', expectedVersion, data: { delta: 1 } }));
    const won = replies.filter(({ event }) => event === 'evt.inventory.adjusted');
    const lost = replies.filter(({ event }) => event === 'evt.inventory.conflict');
    expect(won.map(versionOf)).toEqual([expectedVersion + 1]);
    expect(lost).toHaveLength(CLIENTS - 1);
    for (const { payload, errorCode } of lost) {
      expect(errorCode).toBe(409);
      expect(payload).toMatchObject({
        entity_id: 'raced',
        expected_version: expectedVersion,
        current_version: expectedVersion + 1,
        action: 'adjust',
      });
    }
  }
  const commits = await commitsOf('raced');
  expectGapless(commits);
  expect(commits.at(-1)).toMatchObject({ version: 4, state: { quantity: 1_003 } });
});

test('I3: of 64 clients that create the same item exactly one does; 63 find that it exists', async () => {
  const replies = await sendFromAll('create', (client) => ({ entityId: 'born', data: { name: `by ${client}` } }));
  const won = replies.filter(({ event }) => event === 'evt.inventory.created');
  expect(won.map(versionOf)).toEqual([1]);
  const lost = replies.filter((reply) => !won.includes(reply));
  expect(lost.map(({ errorCode, payload }) => [errorCode, payload['code']])).toEqual(
    lost.map(() => [409, 'already_exists']),
  );
  expect(await commitsOf('born')).toHaveLength(1);
});

test('I1: 3,200 unguarded adjusts of one item by 64 clients through 3 replicas all land, gapless', async () => {
  await send('create', { entityId: 'hot', data: { name: 'bolt', quantity: 0 } });
  const rounds = 50;
  const versions = await Promise.all(
    clients.map(async (_, client) => {
      const own: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const reply = await send('adjust', { entityId: 'hot', data: { delta: 1 } }, client);
        expect(reply).toMatchObject({ event: 'evt.inventory.adjusted', errorCode: 0 });
        own.push(versionOf(reply));
      }
      // Each client sees its own commands commit in the order in which it sent them.
      expect(own.toSorted((a, b) => a - b)).toEqual(own);
      return own;
    }),
  );
  const total = CLIENTS * rounds;
  expect(versions.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, i) => i + 2));
  const commits = await commitsOf('hot');
  expect(commits).toHaveLength(total + 1);
  expectGapless(commits);
  expectEachOnce(commits);
  // The quantity grows by one with each version: no adjust was decided on a state that another one had left behind.
  expect(commits.map(({ state }) => state?.['quantity'])).toEqual(commits.map((_, index) => index));
}, 120_000);

test('I3: stock is never promised twice, however many orders ask for the last of it at once', async () => {
  await send('create', { entityId: 'scarce', data: { name: 'bolt', quantity: 10 } });
  const replies = await sendFromAll('reserve', (client) => ({
    entityId: 'scarce',
    data: { order_id: `order-${client}`, quantity: 1 },
  }));
  const won = replies.filter(({ event }) => event === 'evt.inventory.reserved');
  const lost = replies.filter((reply) => !won.includes(reply));
  expect(won.map(versionOf).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(new Set(lost.map(({ errorCode, payload }) => `${errorCode} ${String(payload['code'])}`))).toEqual(
    new Set(['422 insufficient_stock']),
  );
  expect((await commitsOf('scarce')).at(-1)).toMatchObject({ version: 11, state: { quantity: 10, reserved: 10 } });
});

test('I4: commands on other items are answered while a flood on one item is still under way', async () => {
  await send('create', { entityId: 'flooded', data: { name: 'bolt', quantity: 0 } });
  const others = Array.from({ length: 20 }, (_, index) => `calm-${index}`);
  for (const entityId of others) await send('create', { entityId, data: { name: 'nut', quantity: 1 } });

  const flood = 2_000;
  let flooded = 0;
  const deluge = Array.from({ length: flood }, async (_, index) => {
    const reply = await send('adjust', { entityId: 'flooded', data: { delta: 1 } }, index);
    flooded++;
    return reply;
  });
  // By now the whole flood lies with the agents.
  await until('the flood is being answered', () => flooded >= flood / 10);
  // Guarded, so that a conflict that another item's traffic caused would show.
  const calm = await Promise.all(
    others.map((entityId) => send('adjust', { entityId, expectedVersion: 1, data: { delta: 1 } }, 7)),
  );
  const floodedBefore = flooded;
  expect(calm.map(({ event }) => event)).toEqual(calm.map(() => 'evt.inventory.adjusted'));
  expect(calm.map(versionOf)).toEqual(calm.map(() => 2));
  // Had they waited for their turn behind the flood, all of it would have been answered by now.
  expect(floodedBefore).toBeLessThan(flood / 2);

  const replies = await Promise.all(deluge);
  expect(replies.filter(({ event }) => event !== 'evt.inventory.adjusted')).toEqual([]);
  expect((await commitsOf('flooded')).at(-1)).toMatchObject({ version: flood + 1, state: { quantity: flood } });
}, 120_000);

test('I4: commands on 500 items at once commit without a single conflict', async () => {
  const ids = Array.from({ length: 500 }, (_, index) => `side-by-side-${index}`);
  const step = (action: string, expectedVersion: number, data: RawCommand['data']): Promise<RawReply[]> =>
    Promise.all(
      ids.map((entityId, index) => send(action, { entityId, expectedVersion, ...(data && { data }) }, index)),
    );
  const created = await step('create', 0, { name: 'bolt', quantity: 5 });
  const adjusted = await step('adjust', 1, { delta: -1 });
  const deleted = await step('delete', 2, undefined);
  expect([...created, ...adjusted, ...deleted].filter(({ errorCode }) => errorCode !== 0)).toEqual([]);
  expect(deleted.map(versionOf)).toEqual(ids.map(() => 3));
}, 60_000);

test('version 0 means that there is no item: never created, or deleted', async () => {
  const entityId = 'zero';
  const data = { name: 'bolt' };
  // Nothing there yet.
  expect(await send('adjust', { entityId, expectedVersion: 0, data: { delta: 1 } })).toMatchObject({
    errorCode: 404,
    payload: { code: 'not_found' },
  });
  expect(await send('adjust', { entityId, expectedVersion: 3, data: { delta: 1 } })).toMatchObject({
    errorCode: 409,
    payload: { expected_version: 3, current_version: 0 },
  });
  expect(await send('create', { entityId, expectedVersion: 1, data })).toMatchObject({
    event: 'evt.inventory.conflict',
    payload: { expected_version: 1, current_version: 0 },
  });
  expect(versionOf(await send('create', { entityId, expectedVersion: 0, data }))).toBe(1);
  // It exists.
  expect(await send('create', { entityId, expectedVersion: 0, data })).toMatchObject({
    event: 'evt.inventory.conflict',
    payload: { expected_version: 0, current_version: 1 },
  });
  expect(await send('create', { entityId, data })).toMatchObject({ payload: { code: 'already_exists' } });
  expect(await send('create', { entityId, expectedVersion: 1, data })).toMatchObject({
    errorCode: 409,
    payload: { code: 'already_exists' },
  });
  // It was deleted.
  expect(await send('delete', { entityId, expectedVersion: 1 })).toMatchObject({
    event: 'evt.inventory.deleted',
    payload: { entity_version: 2, state: null },
  });
  for (const expectedVersion of [1, 2, 3]) {
    expect(await send('create', { entityId, expectedVersion, data })).toMatchObject({
      event: 'evt.inventory.conflict',
      payload: { current_version: 0 },
    });
  }
  expect(await send('delete', { entityId })).toMatchObject({ errorCode: 404, payload: { code: 'not_found' } });
});

test('I1: an item that is deleted and created again goes on counting versions, and old versions stay void', async () => {
  const entityId = 'phoenix';
  for (let life = 0; life < 3; life++) {
    const replies = await sendFromAll('create', () => ({ entityId, expectedVersion: 0, data: { name: 'bolt' } }));
    const won = replies.filter(({ event }) => event === 'evt.inventory.created');
    expect(won.map(versionOf)).toEqual([life * 2 + 1]);
    expect(replies.filter(({ event }) => event === 'evt.inventory.conflict')).toHaveLength(CLIENTS - 1);
    if (life > 0) {
      expect(await send('adjust', { entityId, expectedVersion: 1, data: { delta: 1 } })).toMatchObject({
        event: 'evt.inventory.conflict',
        payload: { current_version: life * 2 + 1 },
      });
    }
    expect(versionOf(await send('delete', { entityId }))).toBe(life * 2 + 2);
  }
  const commits = await commitsOf(entityId);
  expectGapless(commits);
  expect(commits.map(({ event }) => event)).toEqual(['created', 'deleted', 'created', 'deleted', 'created', 'deleted']);
});

test('I1: over everything that happened here, the log is gapless and holds no command twice', async () => {
  const commits = await readCommits(clients.at(0) as NatsConnection, 'inventory');
  expectGapless(commits);
  expectEachOnce(commits);
  const first = commits[0]?.sequence ?? 0;
  expect(commits.map(({ sequence }) => sequence)).toEqual(commits.map((_, index) => first + index));
});
