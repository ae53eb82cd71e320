/** Hunts answers to "what became of my command?" that are not what the log and the queue say. */
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { until } from '../support/until.ts';
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

const outcome = (entityId: string, commandId: string) => mesh.outcome(tallyContract, { entityId, commandId });

test('a commit is told as its reply had it, also when it is long ago', async () => {
  const opened = await mesh.request(tallyContract, 'open', { entityId: 'a', data: {}, commandId: 'open-a' });
  const told = { status: 'committed', event: 'evt.tally.opened', payload: opened.payload };
  expect(await outcome('a', 'open-a')).toMatchObject(told);
  for (let i = 0; i < 40; i++) await mesh.request(tallyContract, 'add', { entityId: 'a', data: { by: 1 } });
  expect(await outcome('a', 'open-a')).toMatchObject(told);
});

test('the refusal of a durable command is told, that of a request is not known', async () => {
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'b', data: { by: 1 }, commandId: 'add-b' });
  const refused = await sent.outcome();
  expect(refused).toMatchObject({ kind: 'rejected', payload: { code: 'not_found' } });
  expect(await outcome('b', 'add-b')).toMatchObject({
    status: 'refused',
    event: 'evt.tally.rejected',
    payload: refused.payload,
  });
  await mesh.request(tallyContract, 'add', { entityId: 'b', data: { by: 1 }, commandId: 'ask-b' });
  expect(await outcome('b', 'ask-b')).toEqual({ entity_id: 'b', command_id: 'ask-b', status: 'unknown' });
});

test('a command that waits for its time is pending, and committed after it', async () => {
  const options = { entityId: 'c', data: {}, commandId: 'open-c' };
  await mesh.send(tallyContract, 'open', { ...options, afterMs: 2_000 });
  expect(await outcome('c', 'open-c')).toMatchObject({ status: 'pending' });
  await until('it is executed', async () => (await outcome('c', 'open-c')).status === 'committed');
});

test('an id that was used on another entity, or never, is unknown here', async () => {
  expect(await outcome('d', 'open-a')).toMatchObject({ status: 'unknown' });
  expect(await outcome('a', 'never')).toMatchObject({ status: 'unknown' });
});
