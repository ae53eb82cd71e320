// Hunts durable commands that are lost, done twice, out of order, or told wrongly.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from './tally.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let server: NatsServer;
let mesh: Mesh;
let agents: RunningAgent[] = [];

const startOne = async (): Promise<RunningAgent> => {
  const agent = await startAgent(tally, { nats: { servers: server.url } });
  agents.push(agent);
  return agent;
};

beforeAll(async () => {
  server = await startNatsServer();
  mesh = await connectMesh({ servers: server.url });
  await startOne();
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all(agents.map((agent) => agent.stop()));
  await server?.stop();
});

const open = (entityId: string): Promise<unknown> => mesh.request(tallyContract, 'open', { entityId, data: {} });

test('what is sent is executed, and its outcome told', async () => {
  const sent = await mesh.send(tallyContract, 'open', { entityId: 'a', data: { note: 'x' }, correlationId: 'corr' });
  const outcome = await sent.outcome();
  expect(outcome).toMatchObject({ kind: 'committed', commandId: sent.commandId, payload: { entity_version: 1 } });
  expect((await mesh.history(tallyContract, 'a')).events[0]).toMatchObject({ command_id: sent.commandId });
});

test('a conflict and a refusal are outcomes', async () => {
  await open('b');
  const late = await mesh.send(tallyContract, 'add', { entityId: 'b', expectedVersion: 7, data: { by: 1 } });
  expect(await late.outcome()).toMatchObject({ kind: 'conflict', payload: { current_version: 1 } });
  const again = await mesh.send(tallyContract, 'open', { entityId: 'b', data: {} });
  expect(await again.outcome()).toMatchObject({ kind: 'rejected', payload: { code: 'already_exists' } });
  expect((await mesh.deadLetters(tallyContract).list()).letters).toEqual([]);
});

test('the same id twice is executed once', async () => {
  await open('c');
  const [one, two] = await Promise.all(
    [1, 2].map(() => mesh.send(tallyContract, 'add', { entityId: 'c', data: { by: 1 }, commandId: 'once' })),
  );
  await Promise.race([one?.outcome(), two?.outcome()]);
  const third = await mesh.request(tallyContract, 'add', { entityId: 'c', data: { by: 1 }, commandId: 'once' });
  expect(third.kind).toBe('replayed');
  expect((await mesh.get(tallyContract, 'c'))?.state.n).toBe(1);
});

test('what is sent while no replica runs is executed when one comes, in order', async () => {
  await open('d');
  await Promise.all(agents.map((agent) => agent.stop()));
  agents = [];
  const sent = [];
  for (let i = 1; i <= 50; i++) {
    sent.push(await mesh.send(tallyContract, 'add', { entityId: 'd', expectedVersion: i, data: { by: i } }));
  }
  await startOne();
  const outcomes = await Promise.all(sent.map((one) => one.outcome()));
  expect(outcomes.map(({ kind }) => kind)).toEqual(sent.map(() => 'committed'));
});

test('of three replicas one executes; when it stops another goes on at once', async () => {
  await Promise.all([startOne(), startOne()]);
  await open('e');
  const send = async (count: number): Promise<void> => {
    const sent = await Promise.all(
      Array.from({ length: count }, () => mesh.send(tallyContract, 'add', { entityId: 'e', data: { by: 1 } })),
    );
    await Promise.all(sent.map((one) => one.outcome()));
  };
  await send(200);
  expect(agents.filter((agent) => agent.stats().queue.active)).toHaveLength(1);
  const active = agents.find((agent) => agent.stats().queue.active);
  await active?.stop();
  await send(200);
  expect((await mesh.get(tallyContract, 'e'))?.state.n).toBe(400);
});
