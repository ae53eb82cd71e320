// Hunts durable commands that do to a lock what a request could not, or that nobody hears of.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { lockContract } from '@meshforge/protocol';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '@meshforge/runtime';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { lockManager } from '../src/index.ts';

let server: NatsServer;
let agent: RunningAgent;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(lockManager, { nats: { servers: server.url } });
  mesh = await connectMesh({ servers: server.url });
});

afterAll(async () => {
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

const holder = async (entityId: string) => (await mesh.get(lockContract, entityId))?.state.owner_id;

test('a lock can be acquired, and its release be sent for later', async () => {
  const acquired = await mesh.send(lockContract, 'acquire', { entityId: 'a', data: { owner_id: 'ann' } });
  expect(await acquired.outcome()).toMatchObject({ kind: 'committed', payload: { state: { owner_id: 'ann' } } });
  // Nobody waits for a durable command: it is answered at once.
  const refused = await mesh.send(lockContract, 'acquire', {
    entityId: 'a',
    data: { owner_id: 'bob', wait_ms: 5_000 },
  });
  expect(await refused.outcome()).toMatchObject({ kind: 'denied', payload: { code: 'held' } });
  const released = await mesh.send(lockContract, 'release', { entityId: 'a', data: { owner_id: 'ann' }, afterMs: 400 });
  expect(await released.outcome()).toMatchObject({ kind: 'committed' });
  expect(await holder('a')).toBeNull();
});

test('a lease cannot be broken from the queue, where the permission to break is not asked for', async () => {
  await mesh.request(lockContract, 'acquire', { entityId: 'b', data: { owner_id: 'ann' } });
  await mesh.send(lockContract, 'break', { entityId: 'b', data: { reason: 'because' } });
  const letters = mesh.deadLetters(lockContract);
  await vi.waitFor(
    async () => expect((await letters.list()).letters).toMatchObject([{ code: 'unknown_action' }]),
    20_000,
  );
  expect(await holder('b')).toBe('ann');
  await mesh.request(lockContract, 'break', { entityId: 'b', data: { reason: 'because' } });
  expect(await holder('b')).toBeNull();
});
