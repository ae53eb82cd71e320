/**
 * Hunts durable commands that are lost, executed twice, or not what they say: odd subjects, headers and schedules, ids that are
 * used again, and queues that are deleted under a running agent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import {
  commandStream,
  decidedFilter,
  decidedSubject,
  delayedCommandSubject,
  encode,
  HEADERS,
  queuedCommandSubject,
} from '@meshforge/protocol';
import { createInbox, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { digestOf } from '../../src/nats/digest.ts';
import { expecting } from '../../src/nats/expecting.ts';
import { rawHeaders } from '../../src/nats/raw-headers.ts';
import { tally, tallyContract } from '../integration/tally.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

const STREAM = commandStream('tally');
let server: NatsServer;
let mesh: Mesh;
let agent: RunningAgent;
let wire: NatsConnection;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  mesh = await connectMesh({ servers: server.url });
  wire = await openConnection(server.url);
});

afterAll(async () => {
  await wire?.close();
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

const open = (entityId: string): Promise<unknown> => mesh.request(tallyContract, 'open', { entityId, data: {} });
const total = async (entityId: string) => (await mesh.get(tallyContract, entityId))?.state.n;
const letters = async () => (await mesh.deadLetters(tallyContract).list()).letters;
const dropLetters = () => mesh.deadLetters(tallyContract).drop({ all: true });
const left = async (): Promise<number> => {
  const info = await wire.request(`$JS.API.STREAM.INFO.${STREAM}`);
  return info.json<{ state: { messages: number } }>().state.messages;
};
const later = (ms: number) => `@at ${new Date(Date.now() + ms).toISOString()}`;

/** Stores a message as any sender can. @param headers lines, or the whole block as text */
async function store(subject: string, body: string | Uint8Array, headers: [string, string][] | string = []) {
  const block =
    typeof headers === 'string' ? ({ encode: () => Buffer.from(headers) } as unknown as MsgHdrs) : rawHeaders(headers);
  const ack = (await wire.request(subject, body, { headers: block, timeout: 5_000 })).json<{
    seq: number;
    error?: unknown;
  }>();
  expect(ack.error).toBeUndefined();
  return ack.seq;
}

const add = (entityId: string, by = 1) => encode({ entity_id: entityId, data: { by } });
const addTo = (entityId: string) => queuedCommandSubject('tally', entityId, 'add');

test('a body that names another entity than its subject is a dead letter', async () => {
  await Promise.all([open('one'), open('other')]);
  await store(addTo('one'), add('other'));
  await until('it is dead', async () => (await letters()).length === 1);
  expect(await letters()).toMatchObject([{ code: 'invalid_command', entity_id: 'one', subject: addTo('one') }]);
  expect([await total('one'), await total('other')]).toEqual([0, 0]);
  await dropLetters();
});

test('a subject that names no entity is a dead letter', async () => {
  await store('queue.cmd.tally.%zz.add', add('one'));
  await until('it is dead', async () => (await letters()).length === 1);
  expect(await letters()).toMatchObject([{ code: 'invalid_command', entity_id: null }]);
  await dropLetters();
});

test.each([
  ['that no header can have', 'NATS/1.0\r\nBa d: x\r\n\r\n', true],
  ['without a colon', 'NATS/1.0\r\nno colon here\r\n\r\n', false],
  ['that look like a status of the server', 'NATS/1.0 503\r\n\r\n', false],
  ['that look like the end of a pull', 'NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 5\r\n\r\n', false],
  ['that name a pin', 'NATS/1.0\r\nNats-Pin-Id: forged\r\n\r\n', false],
])('headers %s stop nobody', async (what, block, isDead) => {
  const entityId = `headers ${what}`;
  await open(entityId);
  await store(addTo(entityId), add(entityId), block);
  const behind = await mesh.send(tallyContract, 'add', { entityId, data: { by: 10 } });
  expect(await behind.outcome()).toMatchObject({ kind: 'committed' });
  expect(await total(entityId)).toBe(isDead ? 10 : 11);
  expect(await letters()).toMatchObject(isDead ? [{ code: 'invalid_command', entity_id: entityId }] : []);
  await dropLetters();
});

test('a schedule among the commands is a dead letter, and never fires', async () => {
  await open('scheduled');
  const target = addTo('scheduled');
  await store(target, add('scheduled'), [
    ['Nats-Schedule', later(1_000)],
    ['Nats-Schedule-Target', addTo('elsewhere')],
  ]);
  await until('it is dead', async () => (await letters()).length === 1);
  expect(await letters()).toMatchObject([{ code: 'invalid_command', entity_id: 'scheduled' }]);
  await sleep(2_000);
  expect(await letters()).toHaveLength(1);
  expect(await left()).toBe(0);
  expect(await total('scheduled')).toBe(0);
  await dropLetters();
});

test('what a schedule fires at another entity is a dead letter', async () => {
  await Promise.all([open('mine'), open('yours')]);
  const subject = delayedCommandSubject('tally', 'mine', 'key');
  await store(subject, add('yours'), [
    ['Nats-Schedule', later(300)],
    ['Nats-Schedule-Target', addTo('yours')],
  ]);
  await until('it is dead', async () => (await letters()).length === 1);
  expect(await letters()).toMatchObject([{ code: 'invalid_command', entity_id: 'yours' }]);
  expect(await total('yours')).toBe(0);
  await dropLetters();
});

test('a command without an id is executed once', async () => {
  await open('nameless');
  await store(addTo('nameless'), add('nameless'));
  await until('it is executed', async () => (await total('nameless')) === 1);
  await until('it has left the queue', async () => (await left()) === 0);
  expect(await total('nameless')).toBe(1);
});

test('the same id again for the same command is one command; for another one it is refused, and a dead letter', async () => {
  await Promise.all([open('first'), open('second')]);
  const send = (entityId: string, by: number) =>
    mesh.send(tallyContract, 'add', { entityId, data: { by }, commandId: 'reused' });
  await (await send('first', 1)).outcome();
  await send('first', 1);
  const otherBody = await send('first', 2);
  expect(await otherBody.outcome()).toMatchObject({ kind: 'malformed', payload: { code: 'invalid_command' } });
  const otherEntity = await send('second', 1);
  expect(await otherEntity.outcome()).toMatchObject({ kind: 'malformed', payload: { code: 'invalid_command' } });
  await until('both are dead', async () => (await letters()).length === 2);
  expect(await letters()).toMatchObject([
    { code: 'invalid_command', entity_id: 'first' },
    { code: 'invalid_command', entity_id: 'second' },
  ]);
  expect([await total('first'), await total('second')]).toEqual([1, 0]);
  await dropLetters();
});

test('the same id again for another time is told the first outcome', async () => {
  await open('timed');
  const options = { entityId: 'timed', data: { by: 1 }, commandId: 'timed' };
  await (await mesh.send(tallyContract, 'add', options)).outcome();
  const again = await mesh.send(tallyContract, 'add', { ...options, afterMs: 300 });
  expect(await again.outcome()).toMatchObject({ kind: 'replayed', payload: { state: { n: 1 } } });
  expect(await total('timed')).toBe(1);
});

test('an id that was cancelled is refused for a delayed command, for an hour', async () => {
  await open('regretted');
  const options = { entityId: 'regretted', data: { by: 1 }, commandId: 'regretted', afterMs: 60_000 };
  const sent = await mesh.send(tallyContract, 'add', options);
  expect(await sent.cancel()).toBe(true);
  const again = mesh.send(tallyContract, 'add', options);
  await expect(again).rejects.toMatchObject({
    code: 'rejected',
    message: expect.stringContaining('cancelled') as string,
  });
});

test('a cancelled command whose time comes all the same is told so, and changes nothing', async () => {
  await open('torn');
  const watch = mesh.watch(tallyContract, { events: ['rejected'] });
  const signal = watch[Symbol.asyncIterator]().next();
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'torn', data: { by: 1 }, afterMs: 400 });
  // As one who cancels, and dies before the schedule is taken away.
  const key = digestOf(sent.commandId);
  await store(decidedSubject('tally', key, 'cancelled'), '', [
    ['Nats-TTL', '3600s'],
    ...expecting(0, decidedFilter('tally', key)).map(([name, value]) => [name, value] as [string, string]),
  ]);
  expect(await sent.outcome()).toMatchObject({ kind: 'rejected', payload: { code: 'cancelled', entity_id: 'torn' } });
  expect(await signal).toMatchObject({ value: { commandId: sent.commandId, payload: { code: 'cancelled' } } });
  watch.stop();
  expect(await letters()).toEqual([]);
  expect(await total('torn')).toBe(0);
});

test('a refusal is in the log before anybody hears of it, and is told the same again', async () => {
  await open('refused');
  const inbox = createInbox();
  const told = wire.subscribe(inbox);
  const body = encode({ entity_id: 'refused', expected_version: 7, data: { by: 1 } });
  const lines: [string, string][] = [
    [HEADERS.commandId, 'the same'],
    [HEADERS.outcomeTo, inbox],
  ];
  // Twice in the queue, as a sender may do that has forgotten.
  await store(addTo('refused'), body, lines);
  await store(addTo('refused'), body, lines);
  const outcomes = [];
  for await (const message of told) {
    outcomes.push(message.json<{ event: string; payload: object }>());
    const log = await wire.request(
      '$JS.API.STREAM.MSG.GET.ENTITIES_tally',
      JSON.stringify({ last_by_subj: 'ent.tally.refused.refused' }),
    );
    expect(log.json<{ message?: object }>().message).toBeDefined();
    if (outcomes.length === 2) break;
  }
  expect(outcomes[0]).toMatchObject({ event: 'evt.tally.conflict', payload: { current_version: 1 } });
  expect(outcomes[1]).toEqual(outcomes[0]);
});

test('the mark is moved before a dead letter is stored: whoever sees the command again does not decide it', async () => {
  await open('marked');
  const sequence = await store(addTo('marked'), encode({ entity_id: 'marked', data: { by: 'x' } }));
  await until('it is dead', async () => (await letters()).length === 1);
  const last = await wire.request(
    '$JS.API.STREAM.MSG.GET.ENTITIES_tally',
    JSON.stringify({ last_by_subj: 'ent.tally.marked.>' }),
  );
  const headers = Buffer.from(last.json<{ message: { hdrs: string } }>().message.hdrs, 'base64').toString();
  const mark = new RegExp(`${HEADERS.mark}: (\\w+)`).exec(headers)?.[1] ?? '';
  expect(Number.parseInt(mark, 36)).toBe(sequence);
  await dropLetters();
});

test('the consumer is made again when somebody deletes it', async () => {
  await open('consumed');
  const answer = await wire.request(`$JS.API.CONSUMER.DELETE.${STREAM}.executor`);
  expect(answer.json()).toMatchObject({ success: true });
  for (let i = 0; i < 6; i++) {
    const sent = await mesh.send(tallyContract, 'add', { entityId: 'consumed', data: { by: 1 } });
    expect(await sent.outcome()).toMatchObject({ kind: 'committed' });
  }
  expect(await total('consumed')).toBe(6);
});

test('commands that are sent after the queue was deleted and made again are executed', async () => {
  await open('queued');
  const send = async (count: number): Promise<void> => {
    const sent = [];
    for (let i = 0; i < count; i++) {
      sent.push(await mesh.send(tallyContract, 'add', { entityId: 'queued', data: { by: 1 } }));
    }
    for (const one of sent) expect(await one.outcome()).toMatchObject({ kind: 'committed' });
  };
  await send(3);
  const info = await wire.request(`$JS.API.STREAM.INFO.${STREAM}`);
  const { config } = info.json<{ config: object }>();
  await wire.request(`$JS.API.STREAM.DELETE.${STREAM}`);
  await sleep(700);
  const first = Math.floor(Date.now()) * 1_000;
  await wire.request(`$JS.API.STREAM.CREATE.${STREAM}`, JSON.stringify({ ...config, first_seq: first }));
  await send(6);
  expect(await total('queued')).toBe(9);
  expect(await letters()).toEqual([]);
});
