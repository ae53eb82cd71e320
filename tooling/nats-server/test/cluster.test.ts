// Hunts: a cluster that is called ready and is not, a member that does not come back, and a minority that pretends.
import { expect, onTestFinished, test } from 'vitest';
import type { NatsServer } from '../src/nats-server.ts';
import { startNatsCluster, type ClusterOptions, type NatsCluster } from '../src/start-nats-cluster.ts';
import { ask, connectTo, countMessages, makeStream } from './jetstream.ts';

async function start(options: ClusterOptions = {}): Promise<NatsCluster> {
  const cluster = await startNatsCluster(options);
  onTestFinished(async () => await cluster.stop());
  return cluster;
}

function pidsOf(nodes: readonly NatsServer[]): (number | undefined)[] {
  return nodes.map((node) => node.pid);
}

test('a cluster takes a stream with three replicas at once, loses its leader, and has everything when it is back', async () => {
  const cluster = await start();
  expect(cluster.nodes.map((node) => node.name)).toEqual(['n1', 'n2', 'n3']);
  expect(cluster.url).toBe(cluster.nodes.map((node) => node.url).join(','));
  const connection = await connectTo(cluster.url);
  await makeStream(connection, 'kept', 3);
  for (let index = 0; index < 20; index++) await ask(connection, 'kept', String(index));

  const leader = await cluster.metaLeader();
  if (leader === undefined) throw new Error('a ready cluster has a meta leader');
  const { url } = leader;
  await leader.kill('SIGKILL');
  await cluster.ready();
  expect((await cluster.metaLeader())?.name).not.toBe(leader.name);
  const survivors = cluster.nodes.filter((node) => node.isAlive).map((node) => node.url);
  const toSurvivors = await connectTo(survivors.join(','));
  expect(await countMessages(toSurvivors)).toBe(20);
  await ask(toSurvivors, 'kept', 'while one is down');

  await leader.restart();
  expect(leader.url).toBe(url);
  await cluster.ready();
  expect(await countMessages(await connectTo(leader.url))).toBe(21);
}, 90_000);

test('data survives a kill -9 of all members at once', async () => {
  const cluster = await start();
  const connection = await connectTo(cluster.url);
  await makeStream(connection, 'kept', 3);
  for (let index = 0; index < 20; index++) await ask(connection, 'kept', String(index));
  const before = pidsOf(cluster.nodes);
  await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')));
  await Promise.all(cluster.nodes.map((node) => node.restart()));
  await cluster.ready();
  expect(await countMessages(await connectTo(cluster.url))).toBe(20);
  for (const pid of pidsOf(cluster.nodes)) expect(before).not.toContain(pid);
}, 90_000);

test('every member has the configuration, and the meta group works with accounts', async () => {
  const configText = 'accounts { TENANT { jetstream: enabled, users: [{ user: alice, password: secret }] } }';
  const cluster = await start({ configText, maxPayload: 2_000_000 });
  for (const node of cluster.nodes) {
    const connection = await connectTo(node.url, { user: 'alice', pass: 'secret' });
    expect(connection.info?.max_payload).toBe(2_000_000);
  }
  await makeStream(await connectTo(cluster.url, { user: 'alice', pass: 'secret' }), 'kept', 3);
}, 90_000);

test('a minority is not ready, and says what is missing', async () => {
  const cluster = await start();
  const leader = await cluster.metaLeader();
  const others = cluster.nodes.filter((node) => node !== leader);
  await Promise.all(others.map((node) => node.kill('SIGKILL')));
  await expect(cluster.ready(1_000)).rejects.toThrow('the cluster was not ready within 1 s: only 1 of 3 are alive');
  await others[0]?.restart();
  await cluster.ready();
}, 90_000);
