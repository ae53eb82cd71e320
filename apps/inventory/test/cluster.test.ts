// Hunts: what a replicated stream adds to races. Its leader refuses writes that meet others in flight, without saying at
// which version, and its followers answer reads with what they have got so far.
import { startNatsCluster, type NatsCluster } from '@meshforge/nats-server';
import { inventoryContract } from '@meshforge/protocol';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
        await (meshes.at(client % 3) as Mesh).update(inventoryContract, 'updated', (item) => ({
          action: 'update',
          data: { quantity: (item?.quantity ?? Number.NaN) + 1 },
        }));
      }
    }),
  );
  expect(await meshes.at(0)?.get(inventoryContract, 'updated', { minVersion: 73 })).toMatchObject({
    entity_version: 73,
    state: { quantity: 72 },
  });
}, 60_000);
