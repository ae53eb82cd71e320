// Hunts: commands that are counted twice, not at all or as something else, and attributes that callers can choose.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from '../integration/tally.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection } from '../support/wire.ts';
import { Recorder } from './recorder.ts';

interface Summary {
  count: number;
  sum: number;
}

let server: NatsServer;
let agents: RunningAgent[];
let mesh: Mesh;
let recorder: Recorder;

beforeAll(async () => {
  server = await startNatsServer();
  agents = await Promise.all([tally, tally].map((agent) => startAgent(agent, { nats: { servers: server.url } })));
  mesh = await connectMesh({ servers: server.url });
  await mesh.request(tallyContract, 'open', { entityId: 'uncounted' });
  // Registered when the agents have long been serving.
  recorder = new Recorder();
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all((agents ?? []).map((agent) => agent.stop()));
  await recorder?.stop();
  await server?.stop();
});

test('commands are counted by action and outcome, those that nobody knows together', async () => {
  const add = (entityId: string, expectedVersion?: number) =>
    mesh.request(tallyContract, 'add', {
      entityId,
      data: { by: 1 },
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
    });
  const [agent] = agents as [RunningAgent];
  await mesh.request(tallyContract, 'open', { entityId: 'a', commandId: 'once' });
  await mesh.request(tallyContract, 'open', { entityId: 'a', commandId: 'once' });
  await mesh.request(tallyContract, 'open', { entityId: 'a' });
  for (const version of [1, 2, 2, 1]) await add('a', version);
  await agent.execute('add', { entityId: 'a', data: { by: 1 } });
  const client = endWithTest(await openConnection(server.url));
  for (const action of ['anything', 'toString', 'x'.repeat(500), 'a%b'])
    await client.request(`cmd.tally.${action}`, '{}');
  await client.request('cmd.tally.add', 'no json');

  const counted = {
    'action=open agent=tally outcome=committed': 1,
    'action=open agent=tally outcome=replayed': 1,
    'action=open agent=tally outcome=rejected': 1,
    'action=add agent=tally outcome=committed': 3,
    'action=add agent=tally outcome=conflict': 2,
    'action=add agent=tally outcome=rejected': 1,
    'action=unknown agent=tally outcome=rejected': 4,
  };
  expect(Object.fromEntries(await recorder.points('meshforge.commands'))).toEqual(counted);
  const durations = (await recorder.points('meshforge.command.duration')) as Map<string, Summary>;
  expect(Object.fromEntries([...durations].map(([of, { count }]) => [of, count]))).toEqual(counted);
  for (const [of, { count, sum }] of durations) {
    expect(sum, `of ${of}`).toBeGreaterThan(0);
    // Seconds, not milliseconds.
    expect(sum / count, `of ${of}`).toBeLessThan(1);
  }
  const commits = (await recorder.points('meshforge.commit.duration')) as Map<string, Summary>;
  expect([...commits].map(([of, { count }]) => [of, count])).toEqual([
    ['action=open agent=tally', 1],
    ['action=add agent=tally', 3],
  ]);
});

test('I3: the races that replicas lose are counted', async () => {
  await mesh.request(tallyContract, 'open', { entityId: 'raced' });
  const races = async (): Promise<number> =>
    Number((await recorder.points('meshforge.commit.retries')).get('action=add agent=tally reason=lost_race') ?? 0);
  const before = await races();
  const commands = Array.from({ length: 40 }, (_, index) =>
    (agents[index % 2] as RunningAgent).execute('add', { entityId: 'raced', data: { by: 1 } }),
  );
  for (const { kind } of await Promise.all(commands)) expect(kind).toBe('committed');
  expect(await races()).toBeGreaterThan(before);
  expect((await mesh.get(tallyContract, 'raced'))?.state).toMatchObject({ n: 40 });
});

test('what leaves the queue is measured from when it was stored', async () => {
  const sent = await mesh.send(tallyContract, 'open', { entityId: 'queued' });
  await sent.outcome();
  const wrong = await mesh.send(tallyContract, 'add', { entityId: 'queued', data: { by: 0.5 } });
  await wrong.outcome();
  const lags = (await recorder.points('meshforge.queue.lag')) as Map<string, Summary>;
  expect([...lags].map(([of, { count }]) => [of, count])).toEqual([
    ['outcome=done queue=tally', 1],
    ['outcome=dead queue=tally', 1],
  ]);
  for (const [, { sum }] of lags) expect(sum).toBeLessThan(5);
  expect(Object.fromEntries(await recorder.points('meshforge.queue.pending'))).toEqual({ 'queue=tally': 0 });
  expect(Object.fromEntries(await recorder.points('meshforge.queue.in_flight'))).toEqual({ 'queue=tally': 0 });
});
