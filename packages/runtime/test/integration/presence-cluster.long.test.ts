// Hunts, on three servers: agents that trip over each other while they create the streams; a replica that reads from a follower
// as if it were the leader, because the log got its replicas while it ran; a log that is restored under running replicas.
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, type NatsCluster } from '@meshforge/nats-server';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { beforeEach, expect, test } from 'vitest';
import { connectMesh, startAgent, type RunningAgent } from '../../src/index.ts';
import { backUp, deleteStream, restore } from '../support/backup.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { RememberingLogger } from '../support/remembering-logger.ts';
import { streamLeader } from '../support/stream-leader.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';
import { tally, tallyContract } from './tally.ts';

const LOG = 'ENTITIES_tally';

let cluster: NatsCluster;
let operator: NatsConnection;
let manager: JetStreamManager;
let logger: RememberingLogger;

beforeEach(async () => {
  cluster = endWithTest(await startNatsCluster());
  operator = endWithTest(await openConnection(cluster.url));
  manager = await jetstreamManager(operator, { timeout: 20_000 });
  logger = new RememberingLogger();
}, 120_000);

async function start(streamReplicas: 1 | 3, servers = cluster.url): Promise<RunningAgent> {
  const nats = { servers };
  return endWithTest(await startAgent(tally, { nats, streamReplicas, logger }));
}

const isReady = (agent: RunningAgent) =>
  until(
    () => `it is ready: ${agent.problems().join()}`,
    () => agent.ready(),
  );

test('agents that start in the same moment on an empty cluster all come up, on streams with one first sequence', async () => {
  for (let round = 0; round < 3; round++) {
    const agents = await Promise.all(Array.from({ length: 6 }, () => start(3)));
    for (const stream of [LOG, 'COMMANDS_tally', 'DEAD_LETTERS', 'SIGNALS']) {
      const { config, state } = await manager.streams.info(stream);
      expect(state.first_seq).toBe(config.first_seq);
      expect(Number.isSafeInteger(state.first_seq)).toBe(true);
      expect(state.first_seq).toBeGreaterThan(1_000_000_000_000_000);
    }
    await Promise.all(agents.map((agent) => agent.stop()));
    for (const stream of [LOG, 'COMMANDS_tally', 'DEAD_LETTERS', 'SIGNALS']) await manager.streams.delete(stream);
  }
}, 180_000);

test('a log that gets three replicas under running agents is read from its leader: nothing old refuses a command', async () => {
  await (await start(1)).stop();
  const leader = await streamLeader(cluster, operator, 'tally');
  // A server answers its own clients itself where it can.
  const [one, other] = cluster.nodes.filter((node) => node !== leader).map((node) => node.url);
  const agents = [await start(1, one), await start(1, other)] as const;
  const entityIds = ['a', 'b', 'c'];
  for (const entityId of entityIds) await agents[0].execute('open', { entityId });
  await manager.streams.update(LOG, { num_replicas: 3 });
  // Each replica guards its command by the version that the other has just answered: a refusal can only come from the past.
  for (let version = 1; version < 1_000; version++) {
    for (const entityId of entityIds) {
      const agent = agents[version % 2] as RunningAgent;
      const command = { entityId, expectedVersion: version, data: { by: 1 } };
      expect(await agent.execute('add', command)).toMatchObject({ kind: 'committed' });
    }
  }
  await until('both know', () => logger.texts(`stream ${LOG} has 3 replicas now`).length === 2);
}, 180_000);

test('a replicated log that is restored under running replicas is what they count on from', async () => {
  const agents = [await start(3), await start(3)] as const;
  const count = async (agent: RunningAgent, by: number): Promise<unknown> => {
    const { payload } = await agent.execute('add', { entityId: 'e', data: { by } });
    return (payload as { state?: { n: number } }).state?.n;
  };
  await agents[0].execute('open', { entityId: 'e' });
  expect(await count(agents[0], 3)).toBe(3);
  const backup = await backUp(operator, LOG);
  expect(await count(agents[0], 100)).toBe(103);
  expect(await agents[1].execute('open', { entityId: 'e' })).toMatchObject({ kind: 'rejected' });
  await deleteStream(operator, LOG);
  await restore(operator, backup);
  await until('both have seen that it is another log', () => logger.texts('recreated or restored').length === 2);
  await Promise.all(agents.map(isReady));
  expect(await count(agents[1], 1)).toBe(4);
  expect(await count(agents[0], 1)).toBe(5);
}, 120_000);

test('durable commands to a replicated queue that is restored are executed', async () => {
  const agents = [await start(3), await start(3)];
  const mesh = endWithTest(await connectMesh({ servers: cluster.url.split(',') }));
  const execute = async (entityId: string, times: number): Promise<void> => {
    const send = () => mesh.send(tallyContract, 'add', { entityId, data: { by: 1 }, timeoutMs: 60_000 });
    const sent = await Promise.all(Array.from({ length: times }, send));
    for (const each of sent) expect(await each.outcome({ timeoutMs: 60_000 })).toMatchObject({ kind: 'committed' });
  };
  await mesh.request(tallyContract, 'open', { entityId: 'e' });
  await execute('e', 5);
  const backup = await backUp(operator, 'COMMANDS_tally');
  await execute('e', 5);
  await deleteStream(operator, 'COMMANDS_tally');
  await restore(operator, backup);
  await Promise.all(agents.map(isReady));
  await execute('e', 5);
  expect((await mesh.get(tallyContract, 'e'))?.state.n).toBe(15);
  expect((await mesh.deadLetters(tallyContract).list()).letters).toEqual([]);
}, 180_000);

test('a log without a leader is not gone: the agents wait, create nothing, and serve when there is one again', async () => {
  const agent = await start(3);
  await agent.execute('open', { entityId: 'e' });
  const { created } = await manager.streams.info(LOG);
  const killed = cluster.nodes.slice(1);
  await Promise.all(killed.map((node) => node.kill('SIGKILL')));
  await until('it is not ready', () => !agent.ready());
  await sleep(3_000);
  expect(logger.texts('is gone')).toEqual([]);
  for (const node of killed) await node.restart();
  await cluster.ready();
  await isReady(agent);
  expect(logger.texts('is gone')).toEqual([]);
  expect((await manager.streams.info(LOG)).created).toBe(created);
  expect(await agent.execute('add', { entityId: 'e', data: { by: 1 } })).toMatchObject({ kind: 'committed' });
}, 180_000);
