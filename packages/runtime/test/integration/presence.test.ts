// Hunts: an agent whose streams or consumers were deleted, replaced, restored or edited while it runs: one that goes on as if
// nothing had happened, that says nothing, or that puts something empty in their place.
import { cp, rm } from 'node:fs/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { beforeEach, expect, test } from 'vitest';
import { startAgent, type AgentOptions, type RunningAgent } from '../../src/index.ts';
import { backUp, deleteStream, restore } from '../support/backup.ts';
import { cuttableWayTo } from '../support/cuttable.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { RememberingLogger } from '../support/remembering-logger.ts';
import { until } from '../support/until.ts';
import { tally } from './tally.ts';

const LOG = 'ENTITIES_tally';
const QUEUE = 'COMMANDS_tally';

let server: NatsServer;
let operator: NatsConnection;
let manager: JetStreamManager;
let logger: RememberingLogger;

beforeEach(async () => {
  logger = new RememberingLogger();
  await useServer();
});

async function useServer(configText?: string): Promise<void> {
  server = endWithTest(await startNatsServer({ configText }));
  operator = endWithTest(await connect({ servers: server.url, user: 'operator', pass: 'operator' }));
  manager = await jetstreamManager(operator);
}

/** Whoever names no user may not hear what JetStream tells of its streams and consumers. */
const DEAF = `
  accounts: { A: { jetstream: enabled, users: [
    { user: agent, password: agent, permissions: { subscribe: { deny: "$JS.EVENT.>" } } }
    { user: operator, password: operator }
  ] } }
  no_auth_user: agent
`;

async function start(options: AgentOptions = {}): Promise<RunningAgent> {
  const agent = await startAgent(tally, { nats: { servers: server.url }, logger, ...options });
  return endWithTest(agent);
}

/** The count of an entity after one more. */
async function addTo(agent: RunningAgent, entityId: string, by = 1): Promise<unknown> {
  const { kind, payload } = await agent.execute('add', { entityId, data: { by } });
  return kind === 'committed' ? (payload as { state: { n: unknown } | null }).state?.n : kind;
}

const isNotReady = (agent: RunningAgent) => until('it is not ready', () => !agent.ready());
const isReady = (agent: RunningAgent) =>
  until(
    () => `it is ready: ${agent.problems().join()}`,
    () => agent.ready(),
  );

/** Two replicas that remember n = 103 at a sequence at which a backup, of n = 3, will have something else. */
async function rememberedAhead(): Promise<{ replicas: RunningAgent[]; backup: Awaited<ReturnType<typeof backUp>> }> {
  const replicas = [await start(), await start()];
  const [one, other] = replicas as [RunningAgent, RunningAgent];
  await one.execute('open', { entityId: 'e' });
  expect(await addTo(one, 'e', 3)).toBe(3);
  const backup = await backUp(operator, LOG);
  expect(await addTo(one, 'e', 100)).toBe(103);
  // A refusal is decided on the entity as it is now.
  expect(await other.execute('open', { entityId: 'e' })).toMatchObject({ payload: { code: 'already_exists' } });
  return { replicas, backup };
}

test.each(['hears advisories', 'may not hear advisories'])(
  'a log that is restored is what an agent that %s counts on from',
  async (which) => {
    if (which === 'may not hear advisories') await useServer(DEAF);
    const { backup, replicas } = await rememberedAhead();
    await deleteStream(operator, LOG);
    await restore(operator, backup);
    await until('both have seen that it is another log', () => logger.texts('recreated or restored').length === 2);
    expect(await addTo(replicas[1] as RunningAgent, 'e')).toBe(4);
    expect(await addTo(replicas[0] as RunningAgent, 'e')).toBe(5);
    await Promise.all(replicas.map(isReady));
  },
);

test('a log whose files were replaced while the server was down is what the replicas count on from', async () => {
  const replicas = [await start(), await start()] as const;
  await replicas[0].execute('open', { entityId: 'e' });
  expect(await addTo(replicas[0], 'e', 3)).toBe(3);
  const saved = `${server.dataDir}-saved`;
  await server.kill('SIGKILL');
  await cp(server.dataDir, saved, { recursive: true });
  await server.restart();
  await Promise.all(replicas.map(isReady));
  expect(await addTo(replicas[0], 'e', 100)).toBe(103);
  expect(await replicas[1].execute('open', { entityId: 'e' })).toMatchObject({ payload: { code: 'already_exists' } });
  await server.kill('SIGKILL');
  await rm(server.dataDir, { recursive: true });
  await cp(saved, server.dataDir, { recursive: true });
  await rm(saved, { recursive: true });
  await server.restart();
  await Promise.all(replicas.map(isReady));
  expect(await addTo(replicas[1], 'e')).toBe(4);
  expect(await addTo(replicas[0], 'e')).toBe(5);
});

test('a log that is restored while an agent is cut off is what it counts on from', async () => {
  const way = endWithTest(await cuttableWayTo(server));
  const agents = [await start({ nats: { servers: way.url } }), await start()] as const;
  await agents[0].execute('open', { entityId: 'e' });
  expect(await addTo(agents[0], 'e', 3)).toBe(3);
  const backup = await backUp(operator, LOG);
  expect(await addTo(agents[0], 'e', 100)).toBe(103);
  way.cut();
  await isNotReady(agents[0]);
  // It is decided on what the agent remembers, and published when there is a connection again.
  const waiting = addTo(agents[0], 'e');
  await deleteStream(operator, LOG);
  await restore(operator, backup);
  await isReady(agents[1]);
  expect(await addTo(agents[1], 'e')).toBe(4);
  way.mend();
  await isReady(agents[0]);
  const counted = await waiting;
  expect(['unavailable', 5]).toContain(counted);
  expect(await addTo(agents[0], 'e')).toBe(counted === 5 ? 6 : 5);
});

test('a log that was deleted is reported once and not created again; the agent serves when it is back', async () => {
  const agent = await start();
  await agent.execute('open', { entityId: 'e' });
  const config = await deleteStream(operator, LOG);
  await isNotReady(agent);
  expect(agent.problems()).toEqual([expect.stringContaining(`stream ${LOG} is gone`)]);
  expect(await addTo(agent, 'e')).toBe('unavailable');
  await expect(manager.streams.info(LOG)).rejects.toThrow('stream not found');
  expect(logger.texts('is gone', 'error')).toHaveLength(1);

  await manager.streams.add(config);
  await isReady(agent);
  expect(logger.texts('is there again')).toEqual([`stream ${LOG} is there again`]);
  // It is empty.
  expect(await addTo(agent, 'e')).toBe('rejected');
  expect(await agent.execute('open', { entityId: 'e' })).toMatchObject({ payload: { entity_version: 1 } });
});

test.each([QUEUE, 'DEAD_LETTERS'])('%s is not created again either', async (stream) => {
  const agent = await start();
  const config = await deleteStream(operator, stream);
  await isNotReady(agent);
  expect(agent.problems()).toEqual([expect.stringContaining(`stream ${stream} is gone`)]);
  await expect(manager.streams.info(stream)).rejects.toThrow('stream not found');
  // Requests need neither.
  expect(await agent.execute('open', { entityId: 'e' })).toMatchObject({ kind: 'committed' });
  await manager.streams.add(config);
  await isReady(agent);
});

test('what holds no data is created again: the signals, and the consumer of the durable commands', async () => {
  const agent = await start();
  await deleteStream(operator, 'SIGNALS');
  await manager.consumers.delete(QUEUE, 'executor');
  await until('both were created again', () => logger.texts('was created again', 'warn').length === 2);
  await isReady(agent);
  await manager.streams.info('SIGNALS');
  await manager.consumers.info(QUEUE, 'executor');
  expect(logger.texts('', 'error')).toEqual([]);
});

test('settings that do not suit make an agent not ready, which says the setting; it is ready when they are mended', async () => {
  const agent = await start();
  await manager.streams.update(LOG, { max_msgs_per_subject: 1 });
  await isNotReady(agent);
  expect(agent.problems()).toEqual([expect.stringContaining('max_msgs_per_subject is 1, expected -1')]);
  await manager.streams.update(LOG, { max_msgs_per_subject: -1 });
  await isReady(agent);
});

test('sequences of a new stream are safe integers and higher than those of any stream before it', async () => {
  await (await start()).stop();
  const { state: before } = await manager.streams.info(LOG);
  await deleteStream(operator, LOG);
  await start();
  const { state: after } = await manager.streams.info(LOG);
  expect(Number.isSafeInteger(after.first_seq)).toBe(true);
  expect(after.first_seq).toBeGreaterThan(before.last_seq + 1);
});
