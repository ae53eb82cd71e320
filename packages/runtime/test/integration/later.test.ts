// Hunts delayed commands that come early, late, twice, or although they were cancelled.
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { cancelDelayed } from '../../src/client/cancel.ts';
import { systemClock } from '../../src/clock.ts';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { Requester } from '../../src/nats/requester.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection } from '../support/wire.ts';
import { tally, tallyContract } from './tally.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let server: NatsServer;
let mesh: Mesh;
let agent: RunningAgent;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  mesh = await connectMesh({ servers: server.url });
});

afterAll(async () => {
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

const open = (entityId: string): Promise<unknown> => mesh.request(tallyContract, 'open', { entityId, data: {} });
const total = async (entityId: string): Promise<number | undefined> =>
  (await mesh.get(tallyContract, entityId))?.state.n;

test('a command comes when its time has come, and less than a second later', async () => {
  await open('a');
  const sentAt = Date.now();
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'a', data: { by: 1 }, afterMs: 1_500 });
  expect(await sent.outcome()).toMatchObject({ kind: 'committed' });
  expect(Date.now() - sentAt).toBeGreaterThanOrEqual(1_500);
  expect(Date.now() - sentAt).toBeLessThan(2_500);
});

test('a time that is past means now', async () => {
  await open('b');
  const sentAt = Date.now();
  for (const when of [{ at: new Date(0) }, { afterMs: -5 }, { afterMs: 0 }]) {
    const sent = await mesh.send(tallyContract, 'add', { entityId: 'b', data: { by: 1 }, ...when });
    await sent.outcome();
  }
  expect(Date.now() - sentAt).toBeLessThan(2_500);
  expect(await total('b')).toBe(3);
});

test('a time that is none is refused', async () => {
  for (const when of [{ at: new Date(Number.NaN) }, { afterMs: Number.NaN }, { afterMs: 1, at: new Date() }]) {
    const sending = mesh.send(tallyContract, 'add', { entityId: 'b', data: { by: 1 }, ...when });
    await expect(sending).rejects.toMatchObject({ code: 'invalid_options' });
  }
});

test('with a version it is a safe timer: if the world has moved on, nothing happens', async () => {
  await open('c');
  const timer = await mesh.send(tallyContract, 'close', { entityId: 'c', expectedVersion: 1, afterMs: 600 });
  await mesh.request(tallyContract, 'add', { entityId: 'c', data: { by: 5 } });
  expect(await timer.outcome()).toMatchObject({ kind: 'conflict', payload: { current_version: 2 } });
  expect(await total('c')).toBe(5);
});

test('what is cancelled does not come; what has come cannot be cancelled; each is told', async () => {
  await open('d');
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'd', data: { by: 1 }, afterMs: 1_000 });
  expect(await mesh.cancel(tallyContract, { entityId: 'd', commandId: sent.commandId })).toBe(true);
  // Once more does no harm.
  expect(await sent.cancel()).toBe(true);
  expect(await mesh.cancel(tallyContract, { entityId: 'd', commandId: 'never sent' })).toBe(false);
  const other = await mesh.send(tallyContract, 'add', { entityId: 'd', data: { by: 10 }, afterMs: 300 });
  await other.outcome();
  expect(await other.cancel()).toBe(false);
  await expect(sent.outcome({ timeoutMs: 1_500 })).rejects.toMatchObject({ code: 'timeout' });
  expect(await total('d')).toBe(10);
});

test('a cancellation that meets its time: cancelled and never done, or not cancelled and done', async () => {
  const race = async (i: number): Promise<boolean> => {
    await open(`race-${i}`);
    const sent = await mesh.send(tallyContract, 'add', { entityId: `race-${i}`, data: { by: 1 }, afterMs: 400 });
    await new Promise((resolve) => void setTimeout(resolve, 380 + 4 * i));
    return await sent.cancel();
  };
  const cancelled = await Promise.all(Array.from({ length: 40 }, (_, i) => race(i)));
  await new Promise((resolve) => void setTimeout(resolve, 1_000));
  for (const [i, was] of cancelled.entries()) expect(await total(`race-${i}`), `race-${i}`).toBe(was ? 0 : 1);
});

test.each([
  ['as it is decided', 'queue.decided.'],
  ['as the schedule is taken away', 'queue.later.'],
])(
  'a cancellation that loses an acknowledgement %s, until the time has come, is told as what it is',
  async (_when, subject) => {
    const entityId = `lost ${subject}`;
    await open(entityId);
    const connection = endWithTest(await openConnection(server.url));
    const requester = new Requester(connection, '_INBOX', systemClock, 2_000);
    let isLost = false;
    const exchange = requester.exchange.bind(requester);
    requester.exchange = () => {
      const real = exchange();
      const send: typeof real.send = async (...message) => {
        const answer = await real.send(...message);
        const isStored = answer.kind === 'answer' && answer.message.json<{ error?: object }>().error === undefined;
        if (isLost || !isStored || !message[0].startsWith(subject)) return answer;
        isLost = true;
        await sleep(4_000);
        return { kind: 'lost', why: 'for the test' };
      };
      return { send, end: () => real.end() };
    };
    const { commandId } = await mesh.send(tallyContract, 'add', { entityId, data: { by: 1 }, afterMs: 3_000 });
    const asking = { requester, clock: systemClock, timeoutMs: 10_000 };
    expect(await cancelDelayed(asking, 'tally', { entityId, commandId })).toBe(true);
    expect(isLost).toBe(true);
    expect(await mesh.cancel(tallyContract, { entityId, commandId })).toBe(true);
    await sleep(500);
    expect(await total(entityId)).toBe(0);
  },
);

test('the same id again is one command, and it survives the death of the server and of its agent', async () => {
  await open('e');
  const gone = { entityId: 'e', data: { by: 100 }, afterMs: 2_500, commandId: 'gone' };
  const stays = { entityId: 'e', data: { by: 1 }, afterMs: 2_500, commandId: 'stays' };
  for (const options of [gone, stays, stays, gone]) await mesh.send(tallyContract, 'add', options);
  expect(await mesh.cancel(tallyContract, { entityId: 'e', commandId: 'gone' })).toBe(true);
  await agent.stop();
  await new Promise((resolve) => void setTimeout(resolve, 1_200));
  await server.kill('SIGKILL');
  await server.restart();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  await vi.waitFor(async () => expect(await total('e')).toBe(1), 20_000);
  await new Promise((resolve) => void setTimeout(resolve, 1_000));
  expect(await total('e')).toBe(1);
});
