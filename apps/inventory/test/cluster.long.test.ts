// Hunts: what a replicated stream adds to races. Its leader refuses writes that meet others in flight, without saying at
// which version, and its followers answer reads with what they have got so far.
import { startNatsCluster, type NatsCluster } from '@meshforge/nats-server';
import { inventoryContract } from '@meshforge/protocol';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeLag } from '../../../packages/runtime/test/support/lagging-followers.ts';
import { streamLeader } from '../../../packages/runtime/test/support/stream-leader.ts';
import { expectEachOnce, expectGapless, readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import {
  openConnection,
  sendCommand,
  type NatsConnection,
  type RawCommand,
  type RawReply,
} from '../../../packages/runtime/test/support/wire.ts';
import { startReplicas, type Replicas } from './support/replicas.ts';

let cluster: NatsCluster;
let replicas: Replicas;
/** One at each node. */
let connections: NatsConnection[];
let meshes: Mesh[];

beforeAll(async () => {
  cluster = await startNatsCluster();
  replicas = await startReplicas(cluster.url, 3, { streamReplicas: 3 });
  connections = await Promise.all(cluster.nodes.map((node) => openConnection(node.url)));
  meshes = await Promise.all(cluster.nodes.map((node) => connectMesh({ servers: node.url })));
}, 120_000);

afterAll(async () => {
  await Promise.all((meshes ?? []).map((mesh) => mesh.close()));
  await Promise.all((connections ?? []).map((connection) => connection.close()));
  await replicas?.stop();
  await cluster?.stop();
}, 60_000);

const send = (action: string, command: RawCommand, client = 0): Promise<RawReply> =>
  sendCommand(connections.at(client % 3) as NatsConnection, 'inventory', action, command);

const versionOf = ({ payload }: RawReply): number => payload['entity_version'] as number;

test('I3: of 64 commands that expect the same version exactly one commits, the others learn the true version', async () => {
  await send('create', { entityId: 'raced', data: { name: 'bolt' } });
  for (let expectedVersion = 1; expectedVersion <= 5; expectedVersion++) {
    const command: RawCommand = { entityId: 'raced', expectedVersion, data: { delta: 1 } };
    const replies = await Promise.all(Array.from({ length: 64 }, (_, client) => send('adjust', command, client)));
    const won = replies.filter(({ event }) => event === 'evt.inventory.adjusted');
    expect(won.map(versionOf)).toEqual([expectedVersion + 1]);
    const lost = replies.filter(({ event }) => event === 'evt.inventory.conflict');
    expect(lost.map(({ payload }) => payload['current_version'])).toEqual(
      Array.from({ length: 63 }, () => expectedVersion + 1),
    );
  }
}, 60_000);

test('I1: 600 unguarded adjusts of one item by 30 clients through 3 replicas all land, gapless', async () => {
  await send('create', { entityId: 'hot', data: { name: 'bolt' } });
  await Promise.all(
    Array.from({ length: 30 }, async (_, client) => {
      for (let round = 0; round < 20; round++) {
        const reply = await send('adjust', { entityId: 'hot', data: { delta: 1 } }, client);
        expect(reply).toMatchObject({ event: 'evt.inventory.adjusted', errorCode: 0 });
      }
    }),
  );
  const commits = await readCommits(connections.at(0) as NatsConnection, 'inventory');
  expectGapless(commits);
  expectEachOnce(commits);
  const quantities = commits.filter(({ entityId }) => entityId === 'hot').map(({ state }) => state?.['quantity']);
  expect(quantities).toEqual(Array.from({ length: 601 }, (_, index) => index));
}, 120_000);

test('a read with min_version is never older than that, from whichever node and replica it comes', async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `read-${index}`);
  await Promise.all(
    ids.map(async (entityId, index) => {
      await send('create', { entityId, data: { name: 'bolt' } });
      for (let round = 1; round <= 20; round++) {
        const written = versionOf(await send('adjust', { entityId, data: { delta: 1 } }, index));
        const reader = meshes.at((index + round) % 3) as Mesh;
        const read = await reader.get(inventoryContract, entityId, { minVersion: written });
        expect(read).toMatchObject({ entity_version: round + 1, state: { quantity: round } });
      }
    }),
  );
}, 60_000);

test('I3: an update through the client loses nothing, though it reads from followers that lag', async () => {
  await send('create', { entityId: 'updated', data: { name: 'bolt' } });
  await Promise.all(
    Array.from({ length: 9 }, async (_, client) => {
      for (let round = 0; round < 8; round++) {
        // A follower may not even know of the item yet: then version 0 is expected, and the server knows better.
        const outcome = await (meshes.at(client % 3) as Mesh).update(inventoryContract, 'updated', (item) => ({
          action: 'update',
          data: { quantity: (item?.quantity ?? 0) + 1 },
        }));
        expect(outcome?.kind).toBe('committed');
      }
    }),
  );
  expect(await meshes.at(0)?.get(inventoryContract, 'updated', { minVersion: 73 })).toMatchObject({
    entity_version: 73,
    state: { quantity: 72 },
  });
}, 60_000);

describe('with followers that lag', () => {
  let lag: ReturnType<typeof makeLag>;

  beforeAll(async () => {
    const leader = await streamLeader(cluster, connections.at(0) as NatsConnection, 'inventory');
    lag = makeLag(cluster.nodes.filter((node) => node !== leader));
  });

  afterAll(() => lag?.stop());

  test('I2, I5: of 6 copies of each of 400 commands one commits, and all get its outcome', async () => {
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 40 }, async (_, index) => {
          const entityId = `copied-${round}-${index}`;
          const command: RawCommand = { entityId, data: { name: 'bolt' }, commandId: `copied ${round} ${index}` };
          const replies = await Promise.all(Array.from({ length: 6 }, (__, client) => send('create', command, client)));
          expect(new Set(replies.map(({ event }) => event))).toEqual(new Set(['evt.inventory.created']));
          expect(new Set(replies.map(versionOf))).toEqual(new Set([1]));
          expect(replies.filter(({ replayed }) => !replayed).length).toBeLessThanOrEqual(1);
        }),
      );
    }
  }, 120_000);

  test('I2: a command is refused only for what is true, however old the state that was read first', async () => {
    for (let round = 0; round < 50; round++) {
      const entityId = `true-${round}`;
      await send('create', { entityId, data: { name: 'bolt' } }, round);
      // Each through another replica, none of which has heard of the command before.
      const steps = [
        await send('adjust', { entityId, expectedVersion: 1, data: { delta: 5 } }, round + 1),
        await send('reserve', { entityId, expectedVersion: 2, data: { order_id: 'o', quantity: 5 } }, round + 2),
        await send('fulfil', { entityId, data: { order_id: 'o' } }, round),
        await send('delete', { entityId, expectedVersion: 4 }, round + 1),
        await send('create', { entityId, expectedVersion: 0, data: { name: 'nut' } }, round + 2),
      ];
      expect(steps.map(({ event }) => event)).toEqual([
        'evt.inventory.adjusted',
        'evt.inventory.reserved',
        'evt.inventory.fulfilled',
        'evt.inventory.deleted',
        'evt.inventory.created',
      ]);
    }
  }, 120_000);

  test('a read with min_version is never older than that', async () => {
    await send('create', { entityId: 'lagging', data: { name: 'bolt' } });
    for (let round = 1; round <= 100; round++) {
      const written = versionOf(await send('adjust', { entityId: 'lagging', data: { delta: 1 } }, round));
      const read = await meshes.at((round + 1) % 3)?.get(inventoryContract, 'lagging', { minVersion: written });
      expect(read).toMatchObject({ entity_version: round + 1, state: { quantity: round } });
    }
  }, 120_000);

  test('I1: a history has no gaps, whatever the followers have got so far', async () => {
    await send('create', { entityId: 'told', data: { name: 'bolt' } });
    for (let round = 0; round < 80; round++) {
      await send('adjust', { entityId: 'told', data: { delta: 1 } }, round);
      const { events } = (await meshes.at(round % 3)?.history(inventoryContract, 'told', { limit: 1_000 })) ?? {};
      const versions = events?.map((event) => event.entity_version) ?? [];
      expect(versions).toEqual(Array.from({ length: versions.length }, (_, index) => versions.length - index));
    }
  }, 120_000);

  test('I1, I5: the log is gapless and holds no command twice', async () => {
    const commits = await readCommits(connections.at(0) as NatsConnection, 'inventory');
    expectGapless(commits);
    expectEachOnce(commits);
  });
});
