// Hunts durable commands that are told a refusal, and are executed all the same.
import { commandStream, encode, HEADERS, queuedCommandSubject, refusedSubject } from '@meshforge/protocol';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { createInbox, type NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { rawHeaders } from '../../src/nats/raw-headers.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection } from '../support/wire.ts';
import { until } from '../support/until.ts';
import { tally, tallyContract } from './tally.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const AGENT = tallyContract.name;
const STREAM = commandStream(AGENT);
/** As an agent writes down that there is no such entity. */
const refusal = (entityId: string) => ({
  kind: 'rejected',
  event: 'rejected',
  payload: JSON.stringify({ entity_id: entityId, action: 'add', code: 'not_found', reason: 'as it was' }),
  code: 'not_found',
  reason: 'as it was',
});

let server: NatsServer;
let wire: NatsConnection;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
  wire = await openConnection(server.url);
  mesh = await connectMesh({ servers: server.url });
  // Its streams.
  await (await start()).stop();
});

afterAll(async () => {
  await mesh?.close();
  await wire?.close();
  await server?.stop();
});

const start = (): Promise<RunningAgent> => startAgent(tally, { nats: { servers: server.url } });

async function store(
  subject: string,
  body: string | Uint8Array,
  lines: Readonly<Record<string, string>> = {},
): Promise<number> {
  const headers = rawHeaders(Object.entries(lines));
  const ack = (await wire.request(subject, body, { headers, timeout: 5_000 })).json<{
    seq: number;
    error?: { description: string };
  }>();
  if (ack.error !== undefined) throw new Error(ack.error.description);
  return ack.seq;
}

/** A command that was in the hands of a replica which is gone, when its entity was not there yet; by now it would succeed. */
async function leaveBehind(entityId: string): Promise<{ sequence: number; outcome: Promise<unknown> }> {
  const agent = await start();
  await mesh.request(tallyContract, 'open', { entityId, data: {} });
  await agent.stop();
  const inbox = createInbox();
  const told = wire.subscribe(inbox, { max: 1 });
  const outcome = told[Symbol.asyncIterator]().next();
  const body = encode({ entity_id: entityId, data: { by: 1 } });
  const sequence = await store(queuedCommandSubject(AGENT, 'add'), body, { [HEADERS.outcomeTo]: inbox });
  const pulls = createInbox();
  const pulled = wire.subscribe(pulls);
  const pull = JSON.stringify({ batch: 1, group: 'executor', expires: 100_000_000 });
  await until('it was delivered', async () => {
    wire.publish(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.executor`, pull, { reply: pulls });
    const info = await wire.request(`$JS.API.CONSUMER.INFO.${STREAM}.executor`);
    return info.json<{ delivered: { stream_seq: number } }>().delivered.stream_seq >= sequence;
  });
  pulled.unsubscribe();
  return { sequence, outcome: outcome.then(({ value }) => value?.json()) };
}

const total = async (entityId: string) => (await mesh.get(tallyContract, entityId))?.state.n;

async function ofStream(which: object): Promise<{ data: string; hdrs: string } | undefined> {
  const answer = await wire.request(`$JS.API.STREAM.MSG.GET.${STREAM}`, JSON.stringify(which));
  return answer.json<{ message?: { data: string; hdrs: string } }>().message;
}

const isLeft = async (sequence: number) => (await ofStream({ seq: sequence })) !== undefined;

/** What was written down last, with its headers as `lines`. */
async function lastOf(subject: string): Promise<object | undefined> {
  const found = await ofStream({ last_by_subj: subject });
  if (found === undefined) return undefined;
  const { data, hdrs } = found;
  const lines = Buffer.from(hdrs, 'base64').toString();
  return { ...(JSON.parse(Buffer.from(data, 'base64').toString()) as object), lines };
}

test('what a replica had in its hands is executed by the next one', async () => {
  const { outcome, sequence } = await leaveBehind('a');
  endWithTest(await start());
  expect(await outcome).toMatchObject({ event: 'evt.tally.added' });
  expect(await total('a')).toBe(1);
  await until('it has left the queue', async () => !(await isLeft(sequence)));
});

test('what it had refused, and maybe told so, is not executed any more, and is told the same', async () => {
  const { outcome, sequence } = await leaveBehind('b');
  await store(refusedSubject(AGENT, sequence), JSON.stringify(refusal('b')), { 'Nats-TTL': '600s' });
  const watch = mesh.watch(tallyContract, { events: ['rejected'] });
  const signal = watch[Symbol.asyncIterator]().next();
  endWithTest(await start());
  const payload = { entity_id: 'b', action: 'add', code: 'not_found', reason: 'as it was' };
  expect(await outcome).toEqual({ event: 'evt.tally.rejected', payload });
  expect(await signal).toMatchObject({ value: { payload } });
  watch.stop();
  await until('it has left the queue', async () => !(await isLeft(sequence)));
  expect(await total('b')).toBe(0);
});

test('a refusal is written down before anybody is told, and leaves by itself', async () => {
  endWithTest(await start());
  let stored: Promise<unknown> = Promise.resolve();
  const signals = wire.subscribe('evt.tally.conflict', {
    callback: () => void (stored = lastOf(`queue.refused.${AGENT}.*`)),
  });
  await wire.flush();
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'c', expectedVersion: 7, data: { by: 1 } });
  expect(await sent.outcome()).toMatchObject({ kind: 'conflict' });
  await wire.flush();
  expect(await stored).toMatchObject({ kind: 'conflict', lines: expect.stringContaining('Nats-TTL: 600s') as string });
  signals.unsubscribe();
});

/** By what a sender may do. */
async function forge(sequence: number, entityId: string, lines: Readonly<Record<string, string>>): Promise<void> {
  const subject = refusedSubject(AGENT, sequence);
  await store(`queue.later.${AGENT}.forged`, JSON.stringify(refusal(entityId)), {
    'Nats-Schedule': `@at ${new Date(Date.now() + 1_000).toISOString()}`,
    'Nats-Schedule-Target': subject,
    ...lines,
  });
  await until('it has been written', async () => (await lastOf(subject)) !== undefined);
}

test.each([
  ['by a schedule', { 'Nats-TTL': '600s' }],
  ['by a schedule, with unreadable headers', { 'Nats-TTL': '600s', 'A B': 'c' }],
])('a refusal that a sender has the server write down, %s, is none', async (_how, lines) => {
  const entityId = `forged ${Object.keys(lines).length}`;
  const { outcome, sequence } = await leaveBehind(entityId);
  await forge(sequence, entityId, lines);
  endWithTest(await start());
  expect(await outcome).toMatchObject({ event: 'evt.tally.added' });
  expect(await total(entityId)).toBe(1);
});

test('where a sender has had one written ahead, a refusal is written down all the same', async () => {
  endWithTest(await start());
  const info = await wire.request(`$JS.API.STREAM.INFO.${STREAM}`);
  // The schedule, what it writes, and then the command.
  const sequence = info.json<{ state: { last_seq: number } }>().state.last_seq + 3;
  await forge(sequence, 'd', { 'Nats-TTL': '600s' });
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'd', expectedVersion: 7, data: { by: 1 } });
  expect(await sent.outcome()).toMatchObject({ kind: 'conflict' });
  expect(await lastOf(refusedSubject(AGENT, sequence))).toMatchObject({ kind: 'conflict' });
});
