// Hunts: a second, looser way into the log for commands of the agent's own process.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from './tally.ts';

let server: NatsServer;
let agent: RunningAgent;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  mesh = await connectMesh({ servers: server.url });
});

afterAll(async () => {
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

test('a command of this process commits, is counted and emits its event', async () => {
  const watch = mesh.watch(tallyContract, { events: ['opened'] });
  await mesh.get(tallyContract, 'nobody');
  const outcome = await agent.execute('open', { entityId: 'a', data: { note: 'here' }, correlationId: 'c-1' });
  expect(outcome).toMatchObject({ kind: 'committed', payload: { entity_id: 'a', entity_version: 1 } });
  const next = await watch[Symbol.asyncIterator]().next();
  expect(next.value).toMatchObject({ entityId: 'a', commandId: outcome.commandId, correlationId: 'c-1' });
  expect(agent.stats().actions['open']).toMatchObject({ outcomes: { committed: 1 } });
  watch.stop();
});

test('I5: the same id over NATS is answered with the outcome that it had here, and the other way round', async () => {
  const here = await agent.execute('open', { entityId: 'b', data: { note: '' }, commandId: 'both' });
  expect(here.kind).toBe('committed');
  const there = await mesh.request(tallyContract, 'open', { entityId: 'b', data: { note: '' }, commandId: 'both' });
  expect(there).toMatchObject({ kind: 'replayed', payload: here.payload });
  await mesh.request(tallyContract, 'add', { entityId: 'b', data: { by: 2 }, commandId: 'back' });
  expect(await agent.execute('add', { entityId: 'b', data: { by: 2 }, commandId: 'back' })).toMatchObject({
    kind: 'replayed',
    payload: { entity_version: 2 },
  });
});

test('I3: of a command here and one over NATS that expect the same version, one commits', async () => {
  await agent.execute('open', { entityId: 'c', data: { note: '' } });
  const outcomes = await Promise.all([
    agent.execute('add', { entityId: 'c', expectedVersion: 1, data: { by: 1 } }),
    mesh.request(tallyContract, 'add', { entityId: 'c', expectedVersion: 1, data: { by: 1 } }),
  ]);
  expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['committed', 'conflict']);
});

test('I8: what is malformed is answered as over NATS, and changes nothing', async () => {
  const malformed = [
    await agent.execute('open', { entityId: '', data: { note: '' } }),
    await agent.execute('add', { entityId: 'b', data: { by: 'much' } }),
    await agent.execute('toString', { entityId: 'b' }),
  ];
  expect(malformed.map(({ kind }) => kind)).toEqual(['malformed', 'malformed', 'malformed']);
  expect(malformed[1]?.payload).toMatchObject({ issues: [{ path: 'data.by' }] });
  await expect(agent.execute('open', { entityId: 'd', commandId: 'a\nb' })).rejects.toMatchObject({
    code: 'invalid_options',
  });
  expect((await mesh.get(tallyContract, 'b'))?.entity_version).toBe(2);
});

test('a command under way is finished before the agent stops', async () => {
  const brief = await startAgent(tally, { nats: { servers: server.url } });
  const under = brief.execute('open', { entityId: 'e', data: { note: '' } });
  await brief.stop();
  expect((await under).kind).toBe('committed');
});
