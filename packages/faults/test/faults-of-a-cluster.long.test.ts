// Hunts: partitions that members find a way around, and servers that are taken away without anybody taking over.
import { entityStream } from '@meshforge/protocol';
import type { NatsServer } from '@meshforge/nats-server';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { NOBODY } from '../src/faults/fault.ts';
import { killServer } from '../src/faults/kill-server.ts';
import { partitionServer } from '../src/faults/partition-server.ts';
import { Chosen } from './support/chosen.ts';
import { acquire, create, startTestMesh, type TestMesh } from './support/meshes.ts';

let tested: TestMesh;

beforeAll(async () => {
  tested = await startTestMesh({ replicas: 3, agents: 1 });
}, 90_000);

afterAll(async () => await tested.stop());

/** Whom these servers take for the leader of the inventory's stream. */
async function leaderFor(servers: readonly NatsServer[]): Promise<string | undefined> {
  const connection = await connect({ servers: servers.map(({ url }) => url) });
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 500 });
    return (await manager.streams.info(entityStream('inventory'))).cluster?.leader;
  } finally {
    await connection.close();
  }
}

test('clients and agents know no way to the servers but their links', async () => {
  const { mesh } = tested;
  const way = await connect({ servers: mesh.clientLinks[1]?.map(({ url }) => url) ?? [] });
  onTestFinished(() => way.close());
  expect(way.info?.connect_urls ?? []).toEqual([]);
  for (const agent of mesh.agents) {
    const connections = agent.links.reduce((sum, link) => sum + link.connections, 0);
    // The inventory has one more for its reaction.
    expect({ name: agent.name, connections }).toEqual({
      name: agent.name,
      connections: agent.name.startsWith('inventory') ? 2 : 1,
    });
  }
});

test.each(['cut off, and everyone notices', 'not heard by the others'])(
  'a leader that is %s is followed by another one, and then is one of them again',
  async (how) => {
    const { mesh } = tested;
    const leader = await vi.waitFor(async () => {
      const found = await mesh.leaderOf('inventory');
      if (found === undefined) throw new Error('nobody leads yet');
      return found;
    }, 20_000);
    const others = mesh.servers.nodes.filter((node) => node !== leader);
    const { target, heal } = await partitionServer.apply(mesh, new Chosen('leader', how), NOBODY);
    expect(target).toBe(`${leader.name}, leader of inventory: ${how}`);
    await vi.waitFor(async () => expect(others.map(({ name }) => name)).toContain(await leaderFor(others)), 20_000);
    await heal?.();
    await mesh.servers.ready(30_000);
    expect(await tested.client.sendPatiently(create(`after ${how}`))).toMatchObject({ kind: 'answered' });
  },
  60_000,
);

test('a killed leader is followed by another one, and comes back', async () => {
  const { mesh } = tested;
  const leader = await mesh.leaderOf('inventory');
  const others = mesh.servers.nodes.filter((node) => node !== leader);
  const { heal } = await killServer.apply(mesh, new Chosen('leader'), NOBODY);
  expect(leader?.isAlive).toBe(false);
  await vi.waitFor(async () => expect(others.map(({ name }) => name)).toContain(await leaderFor(others)), 20_000);
  expect(await tested.client.sendPatiently(acquire('while one is down'))).toMatchObject({ kind: 'answered' });
  await heal?.();
  await mesh.servers.ready(30_000);
}, 60_000);

test('no agent ended by itself', () => {
  expect(tested.deaths).toEqual([]);
});
