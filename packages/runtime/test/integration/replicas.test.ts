/** Hunts replicas that make each other read again, and clients that wait for one which has stopped. */
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { tally, tallyContract } from './tally.ts';

let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
});

afterAll(async () => {
  await server?.stop();
});

const replica = async (): Promise<RunningAgent> =>
  endWithTest(await startAgent(tally, { nats: { servers: server.url } }));

const served = (agent: RunningAgent): number => agent.stats().actions['add']?.outcomes.committed ?? 0;

test('commands on one entity go to one replica, and to another one when it stops', async () => {
  const agents = [await replica(), await replica()] as const;
  mesh = endWithTest(await connectMesh({ servers: server.url }));
  await mesh.request(tallyContract, 'open', { entityId: 'e', data: {} });
  const add = (): Promise<unknown> => mesh.request(tallyContract, 'add', { entityId: 'e', data: { by: 1 } });
  const addTen = async (): Promise<readonly [number, number]> => {
    const before = agents.map(served);
    for (let i = 0; i < 10; i++) await add();
    return [served(agents[0]) - (before[0] ?? 0), served(agents[1]) - (before[1] ?? 0)];
  };
  // Once both replicas have answered.
  await until('all go to one', async () => (await addTen()).includes(10));
  const shares = await addTen();
  expect(shares).toContain(10);
  const [busy, other] = shares[0] === 10 ? agents : [agents[1], agents[0]];
  await busy.stop();
  const before = served(other);
  for (let i = 0; i < 10; i++) await add();
  expect(served(other) - before).toBe(10);
});

test('a command to one replica is checked and answered as any other', async () => {
  await replica();
  const connection = (mesh = endWithTest(await connectMesh({ servers: server.url })));
  const outcome = await connection.request(tallyContract, 'add', { entityId: 'nobody', data: { by: 1 } });
  expect(outcome).toMatchObject({ kind: 'rejected', payload: { code: 'not_found' } });
});
