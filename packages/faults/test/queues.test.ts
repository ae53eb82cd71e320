// Hunts: a run that ends while commands still wait, and dead letters that nobody sees.
import { inventoryContract, queuedCommandSubject } from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { mirrorOf, SOURCES } from '../src/reactor/mirroring.ts';
import { awaitEmptyQueues, whatIsDead } from '../src/witness/queues.ts';
import { adjust, create, startTestMesh, storedIn, type TestMesh } from './support/meshes.ts';

const agents = [inventoryContract.name];
const [source = ''] = SOURCES;
let tested: TestMesh;

beforeAll(async () => {
  tested = await startTestMesh({ replicas: 1, agents: 1 });
  for (const item of ['bolt', mirrorOf(source) ?? '', source]) await tested.client.sendPatiently(create(item));
}, 60_000);

afterAll(async () => await tested.stop());

test('a durable command is executed, and so is what the reaction makes of it', async () => {
  const { client, mesh } = tested;
  const before = await storedIn(tested, 'inventory');
  const posted = await client.post(adjust(source), undefined);
  expect(posted.kind).toBe('stored');
  expect(await awaitEmptyQueues(mesh.manager, agents)).toEqual([]);
  expect(await storedIn(tested, 'inventory')).toBe(before + 2);
});

test('a delayed command can be cancelled until its time has come', async () => {
  const { client } = tested;
  const command = adjust('bolt');
  await client.post(command, Date.now() + 60_000);
  expect(await client.cancel(command)).toBe(true);
  expect(await client.cancel(adjust('bolt'))).toBe(false);
});

test('a command that nobody executes and an event that nobody follows are found, until somebody does', async () => {
  const { client, mesh } = tested;
  const [inventory, reactor] = ['inventory', 'reactor'].map((name) => mesh.agents.find(({ agent }) => agent === name));
  await reactor?.kill();
  await client.sendPatiently(adjust(source));
  await inventory?.kill();
  await client.post(adjust('bolt'), undefined);
  const stuck = (await awaitEmptyQueues(mesh.manager, agents, 500)).map(({ what }) => what).join();
  expect(stuck).toContain('1 commands wait in COMMANDS_inventory, the oldest is sequence');
  expect(stuck).toContain('1 events wait in ENTITIES_inventory; consumer react_mirroring: ack floor');
  await Promise.all([inventory?.revive(), reactor?.revive()]);
  expect(await awaitEmptyQueues(mesh.manager, agents)).toEqual([]);
}, 60_000);

test('a dead letter is found, with what it died of', async () => {
  const { mesh } = tested;
  expect(await whatIsDead(mesh.manager)).toEqual([]);
  mesh.control.publish(queuedCommandSubject(inventoryContract.name, 'bolt', 'adjust'), '{}');
  await vi.waitFor(async () => {
    const [breach] = await whatIsDead(mesh.manager);
    expect(breach?.what).toContain('1 commands are dead letters');
    expect(breach?.what).toContain('invalid_command');
  }, 20_000);
});
