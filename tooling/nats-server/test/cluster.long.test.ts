// Hunts: a cluster that is called ready and is not, a member that does not come back, and a minority that pretends.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
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

test('a member whose ways to the others are cut is alone, and one of the cluster again when they are open', async () => {
  const ways = new CuttableWays();
  onTestFinished(() => ways.close());
  const cluster = await start({ routeVia: (from, to, port) => ways.open(from, to, port) });
  await makeStream(await connectTo(cluster.url), 'kept', 3);
  const leader = await cluster.metaLeader();
  if (leader?.name === undefined) throw new Error('a ready cluster has a meta leader');
  const { name } = leader;
  const others = cluster.nodes.filter((node) => node !== leader);
  const toOthers = await connectTo(others.map((node) => node.url).join(','));

  ways.cut((ends) => ends.includes(name));
  await vi.waitFor(async () => expect(await routesOf(leader)).toEqual([]), 20_000);
  // Members gossip about each other: no way must come up besides those that were cut.
  await vi.waitFor(async () => expect(await leaderFor(others)).not.toBe(name), { timeout: 30_000, interval: 100 });
  await ask(toOthers, 'kept', 'while one is alone');
  expect(await routesOf(leader)).toEqual([]);

  ways.mend();
  await cluster.ready();
  expect(await routesOf(leader)).toEqual(others.map((node) => node.name));
}, 90_000);

test('a member that comes back while its way to another is cut finds none by hearsay', async () => {
  const ways = new CuttableWays();
  onTestFinished(() => ways.close());
  const cluster = await start({ routeVia: (from, to, port) => ways.open(from, to, port) });
  const [, second, third] = cluster.nodes as [NatsServer, NatsServer, NatsServer];
  ways.cut((ends) => ends.includes('n1') && ends.includes('n2'));
  await second.restart();
  await vi.waitFor(async () => expect(await routesOf(third)).toEqual(['n1', 'n2']), 20_000);
  // The third has told the other two about each other by now.
  await sleep(500);
  expect(await routesOf(second)).toEqual(['n3']);
}, 90_000);

/** TCP forwarders, one per pair. */
class CuttableWays {
  readonly #servers: Server[] = [];
  readonly #sockets = new Map<Socket, readonly string[]>();
  #isCut: (ends: readonly string[]) => boolean = () => false;

  async open(from: string, to: string, port: number): Promise<number> {
    const server = createServer((near) => {
      if (this.#isCut([from, to])) {
        near.destroy();
        return;
      }
      const far = connect(port, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.set(socket, [from, to]);
        socket.on('error', () => {}).on('close', () => other.destroy());
        socket.pipe(other);
      }
    });
    this.#servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  }

  cut(isCut: (ends: readonly string[]) => boolean): void {
    this.#isCut = isCut;
    for (const [socket, ends] of this.#sockets) if (isCut(ends)) socket.destroy();
  }

  mend(): void {
    this.#isCut = () => false;
  }

  close(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

async function routesOf(node: NatsServer): Promise<string[]> {
  const report = (await (await fetch(`${node.monitorUrl}/routez`)).json()) as { routes: { remote_name: string }[] };
  return [...new Set(report.routes.map((route) => route.remote_name))].toSorted();
}

/** Whom these members follow; undefined while they do not agree. */
async function leaderFor(nodes: readonly NatsServer[]): Promise<string | undefined> {
  const reports = await Promise.all(nodes.map(async (node) => (await fetch(`${node.monitorUrl}/jsz`)).json()));
  const leaders = reports.map((report) => (report as { meta_cluster: { leader?: string } }).meta_cluster.leader);
  expect(leaders[0]).toBeDefined();
  expect(new Set(leaders).size).toBe(1);
  return leaders[0];
}
