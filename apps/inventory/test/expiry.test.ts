// Hunts reservations that outlive their time, end early, or take another one with them.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { inventoryContract } from '@meshforge/protocol';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startAgentProcesses, type AgentProcesses } from './support/agent-processes.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: NatsServer;
let processes: AgentProcesses;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
  processes = await startAgentProcesses(server.url, 2);
  mesh = await connectMesh({ servers: server.url, timeoutMs: 30_000 });
});

afterAll(async () => {
  await mesh?.close();
  await processes?.stop();
  await server?.stop();
});

const create = (entityId: string) =>
  mesh.request(inventoryContract, 'create', { entityId, data: { name: 'bolt', quantity: 10 } });
const reserve = async (entityId: string, orderId: string, ttlMs: number) => {
  const data = { order_id: orderId, quantity: 2, ttl_ms: ttlMs };
  const outcome = await mesh.request(inventoryContract, 'reserve', { entityId, data });
  if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome));
  return Date.parse((outcome.payload.data as { until: string }).until);
};
const item = async (entityId: string) => (await mesh.get(inventoryContract, entityId))?.state;
const released = async (entityId: string) =>
  (await mesh.history(inventoryContract, entityId)).events.filter(({ event }) => event === 'evt.inventory.released');

test('a reservation with a time to live releases itself then, never early', async () => {
  await create('a');
  const until = await reserve('a', 'order', 1_200);
  expect(await item('a')).toMatchObject({ reserved: 2, until: { order: new Date(until).toISOString() } });
  await vi.waitFor(async () => expect(await item('a')).toMatchObject({ reserved: 0, reservations: {} }), 20_000);
  const [event] = await released('a');
  expect(Date.parse(event?.time ?? '')).toBeGreaterThanOrEqual(until);
  expect(await item('a')).not.toHaveProperty('until');
});

test('one that was made anew under the same order is not taken by the end of the one before', async () => {
  await create('b');
  await reserve('b', 'order', 900);
  await mesh.request(inventoryContract, 'release', { entityId: 'b', data: { order_id: 'order' } });
  const until = await reserve('b', 'order', 2_500);
  await vi.waitFor(async () => expect(await item('b')).toMatchObject({ reserved: 0 }), 20_000);
  const events = await released('b');
  expect(events).toHaveLength(2);
  expect(Date.parse(events[0]?.time ?? '')).toBeGreaterThanOrEqual(until);
});

test('one that was fulfilled stays fulfilled, and one without a time stays', async () => {
  await create('c');
  await reserve('c', 'gone', 600);
  await mesh.request(inventoryContract, 'fulfil', { entityId: 'c', data: { order_id: 'gone' } });
  await mesh.request(inventoryContract, 'reserve', { entityId: 'c', data: { order_id: 'stays', quantity: 1 } });
  await new Promise((resolve) => void setTimeout(resolve, 1_500));
  expect(await item('c')).toMatchObject({ quantity: 8, reserved: 1, reservations: { stays: 1 } });
});

test('all die in between: it is released all the same, once', async () => {
  await create('d');
  const until = await reserve('d', 'order', 3_000);
  await Promise.all(processes.agents.map((agent) => agent.kill()));
  await server.kill('SIGKILL');
  await server.restart();
  await processes.restartAll();
  await vi.waitFor(async () => expect(await item('d')).toMatchObject({ reserved: 0 }), 20_000);
  const events = await released('d');
  expect(events).toHaveLength(1);
  expect(Date.parse(events[0]?.time ?? '')).toBeGreaterThanOrEqual(until);
});
