// Hunts: a witness that stops reading, and one that does not know that it has stopped.
import {
  entityStream,
  entitySubject,
  entityWildcard,
  inventoryContract,
  lockContract,
  REPUBLISH,
} from '@meshforge/protocol';
import { startNatsServer } from '@meshforge/nats-server';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import type { Logged } from '../src/history.ts';
import { Witness } from '../src/witness/witness.ts';

const names = [inventoryContract.name, lockContract.name];
let mesh: Awaited<ReturnType<typeof startWatched>>;

async function startWatched() {
  const server = await startNatsServer({ onProgress: () => {} });
  onTestFinished(() => server.stop());
  const connection = await connect({ servers: server.url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  onTestFinished(async () => await connection.close());
  const manager = await jetstreamManager(connection);
  for (const name of names) {
    const settings = { name: entityStream(name), subjects: [entityWildcard(name)], republish: { ...REPUBLISH } };
    await manager.streams.add({ ...settings, allow_direct: true, first_seq: 1_000 });
  }
  const logged: Logged[] = [];
  const breaches: string[] = [];
  const witness = await Witness.start({
    connection,
    manager,
    onLogged: (entry) => logged.push(entry),
    onReadAgain: () => {},
    onBreach: ({ what }) => breaches.push(what),
  });
  onTestFinished(() => witness.stop());
  const commit = async (name: string, version: number): Promise<void> => {
    const subject = entitySubject(name, 'bolt', name === lockContract.name ? version : 0, 'made');
    const body = JSON.stringify({ entity_id: 'bolt', entity_version: version, state: {} });
    await vi.waitFor(async () => await connection.request(subject, body, { timeout: 500 }), 20_000);
  };
  return { server, connection, manager, logged, breaches, witness, commit };
}

beforeEach(async () => {
  mesh = await startWatched();
});

test('it reads a log as it grows, in order, also when the server was gone for a while', async () => {
  const { commit, logged, server, witness } = mesh;
  await commit('inventory', 1);
  await vi.waitFor(() => expect(logged).toHaveLength(1), 20_000);
  await server.kill('SIGKILL');
  await server.restart();
  for (const version of [2, 3, 4]) await commit('inventory', version);
  const { problems, reports } = await witness.finish();
  expect(problems).toEqual([]);
  expect(logged.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
  expect(reports.map(({ messages, missed }) => ({ messages, missed }))).toEqual([
    { messages: 4, missed: 0 },
    { messages: 0, missed: 0 },
  ]);
});

test('it goes on behind a sequence where a log was restored', async () => {
  const { commit, logged, manager, witness } = mesh;
  for (const version of [1, 2]) await commit('inventory', version);
  await vi.waitFor(() => expect(logged).toHaveLength(2), 20_000);
  const readOn = await witness.pause('inventory');
  const { config } = await manager.streams.info(entityStream('inventory'));
  await manager.streams.delete(entityStream('inventory'));
  const { metadata: _metadata, ...settings } = config;
  await manager.streams.add(settings);
  for (const version of [1, 9]) await commit('inventory', version);
  readOn(1_000);
  expect((await witness.finish()).problems).toEqual([]);
  expect(logged.map(({ version }) => version)).toEqual([1, 2, 9]);
});

test('what left a log of leases before it could be read is known to be missing', async () => {
  const { commit, logged, manager, witness } = mesh;
  const readOn = await witness.pause('lock');
  for (const version of [1, 2, 3]) await commit(lockContract.name, version);
  const filter = entitySubject(lockContract.name, 'bolt', 2, 'made');
  await manager.streams.purge(entityStream(lockContract.name), { filter });
  readOn(1_999);
  const { problems, reports } = await witness.finish();
  expect(problems).toEqual([]);
  expect(logged.map(({ version }) => version)).toEqual([1, 3]);
  expect(reports[1]).toMatchObject({ messages: 2, missed: 1 });
});

test('a message that no agent writes is a breach', async () => {
  const { breaches, connection, witness } = mesh;
  await connection.request('ent.inventory.bolt.odd', '{}');
  await witness.finish();
  expect(breaches).toEqual(['ent.inventory.bolt.odd at 1000 is no commit']);
});

test('one that has not read to the end says so, once', async () => {
  const { commit, witness } = mesh;
  await witness.pause('inventory');
  await commit('inventory', 1);
  const { problems } = await witness.finish(200);
  expect(problems).toEqual(['the log of inventory was read to 999 of 1000 only']);
});
