// Hunts: durable commands and reactions that stop for good, or are taken for done, because their stream or consumer was deleted,
// recreated or restored under them.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { beforeEach, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type MeshError, type RunningAgent } from '../../src/index.ts';
import { backUp, deleteStream, restore } from '../support/backup.ts';
import { agentOf, first, follow, second } from '../support/chain.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { RememberingLogger } from '../support/remembering-logger.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';

const QUEUE = 'COMMANDS_first';
const LOG = 'ENTITIES_first';

let server: NatsServer;
let operator: NatsConnection;
let manager: JetStreamManager;
let logger: RememberingLogger;
let mesh: Mesh;
let agents: RunningAgent[];

beforeEach(async () => {
  server = endWithTest(await startNatsServer());
  operator = endWithTest(await openConnection(server.url));
  manager = await jetstreamManager(operator);
  logger = new RememberingLogger();
  const nats = { servers: server.url };
  agents = [];
  for (const contract of [first, first, second]) {
    agents.push(endWithTest(await startAgent(agentOf(contract), { nats, logger })));
  }
  mesh = endWithTest(await connectMesh(nats));
});

/** Sends commands and waits until each is executed. */
async function execute(entityId: string, times: number): Promise<void> {
  const sent = await Promise.all(
    Array.from({ length: times }, () => mesh.send(first, 'add', { entityId, data: { by: 1 } })),
  );
  for (const each of sent) expect(await each.outcome({ timeoutMs: 20_000 })).toMatchObject({ kind: 'committed' });
}

async function counted(contract: typeof first, entityId: string): Promise<number> {
  return (await mesh.get(contract, entityId))?.state.n ?? 0;
}

const areReady = (): Promise<unknown> =>
  until(
    () => `all are ready: ${agents.flatMap((agent) => agent.problems()).join()}`,
    () => agents.every((agent) => agent.ready()),
  );

test('commands to a queue that was deleted and created by hand are executed, though its sequences begin at 1', async () => {
  await execute('e', 6);
  const { first_seq: _first, ...config } = await deleteStream(operator, QUEUE);
  await until('it is seen', () => agents.every((agent, at) => at === 2 || !agent.ready()));
  await manager.streams.add(config);
  await areReady();
  await execute('e', 6);
  expect(await counted(first, 'e')).toBe(12);
  // Once more, with the same sequences.
  await deleteStream(operator, QUEUE);
  await manager.streams.add(config);
  await execute('f', 6);
  expect(await counted(first, 'f')).toBe(6);
  expect((await mesh.deadLetters(first).list()).letters).toEqual([]);
});

test('commands to a queue that was restored are executed, though they get sequences of before', async () => {
  await execute('e', 2);
  const backup = await backUp(operator, QUEUE);
  await execute('e', 6);
  await deleteStream(operator, QUEUE);
  await restore(operator, backup);
  await areReady();
  await execute('e', 6);
  expect(await counted(first, 'e')).toBe(14);
  expect((await mesh.deadLetters(first).list()).letters).toEqual([]);
});

test('a deleted consumer of the queue is created again, and nothing is lost or executed twice', async () => {
  await execute('e', 3);
  await manager.consumers.delete(QUEUE, 'executor');
  await execute('e', 3);
  expect(await counted(first, 'e')).toBe(6);
  expect(logger.texts('is gone', 'error')).toEqual([]);
});

test('a reaction tells that its consumer is gone, which it does not create, and goes on when it is back', async () => {
  const faults: MeshError[] = [];
  const running = await mesh.react(
    first,
    { name: 'copies', onFault: (error) => faults.push(error as MeshError) },
    () => undefined,
  );
  endWithTest(running);
  await execute('e', 1);
  await until('it was handled', () => running.stats().done === 1);
  const { config, delivered } = await manager.consumers.info(LOG, 'react_copies');
  await manager.consumers.delete(LOG, 'react_copies');
  await until('it was told', () => faults.length > 0);
  expect(faults[0]).toMatchObject({ code: 'gone', details: { consumer: 'react_copies' } });
  expect(mesh.problems()).toEqual([expect.stringContaining(`consumer react_copies of stream ${LOG} is gone`)]);
  await execute('e', 2);
  await expect(manager.consumers.info(LOG, 'react_copies')).rejects.toThrow('consumer not found');
  const start = { deliver_policy: 'by_start_sequence', opt_start_seq: delivered.stream_seq + 1 } as const;
  await manager.consumers.add(LOG, { ...config, ...start });
  await until('the rest was handled', () => running.stats().done === 3);
  await until('there is no problem', () => mesh.problems().length === 0);
});

test('a reaction follows a log that was restored, though its events get sequences of before', async () => {
  endWithTest(await follow(mesh, first, second));
  await execute('e', 2);
  await until('it was followed', async () => (await counted(second, 'e')) === 2);
  const backup = await backUp(operator, LOG);
  await execute('f', 5);
  await until('it was followed', async () => (await counted(second, 'f')) === 5);
  await deleteStream(operator, LOG);
  await restore(operator, backup);
  await areReady();
  await execute('g', 5);
  await until('it was followed', async () => (await counted(second, 'g')) === 5);
  expect(await counted(first, 'f')).toBe(0);
});
