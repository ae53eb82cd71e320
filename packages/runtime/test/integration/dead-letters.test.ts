// Hunts commands that are given up without a trace, tried for ever, or in the way of others.
import { randomBytes } from 'node:crypto';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import {
  DEAD_LETTERS_STREAM,
  deadLetterSubject,
  defineContract,
  HEADERS,
  queuedCommandSubject,
} from '@meshforge/protocol';
import { headers as newHeaders } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { connectMesh, defineAgent, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const contract = defineContract({
  name: 'fragile',
  description: 'Breaks on demand.',
  state: z.strictObject({ seen: z.array(z.string()) }),
  actions: {
    note: { description: 'Writes down.', data: z.strictObject({ what: z.string() }), event: 'noted' },
  },
});

/** What the rule throws at; a later version of the agent would have it mended. */
const broken = new Set<string>();
const tries = new Map<string, number>();

const fragile = defineAgent({
  ...contract,
  actions: {
    note: {
      ...contract.actions.note,
      entity: 'any',
      rule: (state, { what }) => {
        tries.set(what, (tries.get(what) ?? 0) + 1);
        if (broken.has(what)) throw new Error(`cannot bear ${what}`);
        return { seen: [...(state?.seen ?? []), what] };
      },
    },
  },
});

let server: NatsServer;
let mesh: Mesh;
let agent: RunningAgent;
let nats: Awaited<ReturnType<typeof openConnection>>;

beforeAll(async () => {
  server = await startNatsServer();
  const retry = { maxTries: 3, firstPauseMs: 400 };
  agent = await startAgent(fragile, { nats: { servers: server.url }, retry });
  mesh = await connectMesh({ servers: server.url });
  nats = await openConnection(server.url);
});

afterAll(async () => {
  await nats?.close();
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

const note = (entityId: string, what: string) => mesh.send(contract, 'note', { entityId, data: { what } });
const letters = async () => (await mesh.deadLetters(contract).list()).letters;
const seen = async (entityId: string) => (await mesh.get(contract, entityId))?.state.seen;

test('a poison command is tried three times, and dies; its neighbours go on at once, those behind it after it', async () => {
  broken.add('poison');
  await note('sick', 'poison');
  const behind = await note('sick', 'behind');
  const neighbours = await Promise.all(Array.from({ length: 50 }, (_, i) => note(`well-${i}`, 'fine')));
  await Promise.all(neighbours.map((one) => one.outcome()));
  // All of them are done while the poison has tries left, and the one behind it waits.
  expect(await letters()).toEqual([]);
  expect(agent.stats().queue).toMatchObject({ active: true, inFlight: 2, retrying: 2 });
  expect(await behind.outcome()).toMatchObject({ kind: 'committed' });
  expect(tries.get('poison')).toBe(3);
  const [letter, ...others] = await letters();
  expect(others).toEqual([]);
  expect(letter).toMatchObject({
    subject: 'queue.cmd.fragile.sick.note',
    code: 'unavailable',
    tries: 3,
    entity_id: 'sick',
  });
  expect(letter?.reason).toContain('defective');
  expect(Date.parse(letter?.died_at ?? '')).toBeGreaterThan(Date.parse(letter?.stored_at ?? ''));
  expect(agent.stats().queue).toMatchObject({ inFlight: 0, retrying: 0, dead: 1 });
});

test('a letter can be looked at, replayed once what was wrong is mended, and is gone then', async () => {
  const { commandId } = await mesh.send(contract, 'note', {
    entityId: 'é "quoted"',
    data: { what: 'poison' },
    correlationId: 'corr',
  });
  await vi.waitFor(async () => expect(await letters()).toHaveLength(2), 20_000);
  const { id } = (await letters())[1] ?? { id: 0 };
  const letter = await mesh.deadLetters(contract).get(id);
  expect(letter).toMatchObject({ id, command_id: commandId, entity_id: 'é "quoted"' });
  expect(JSON.parse(letter?.body ?? '')).toEqual({ entity_id: 'é "quoted"', data: { what: 'poison' } });
  expect(letter?.headers).toContainEqual([HEADERS.correlationId, 'corr']);
  broken.clear();
  expect(await mesh.deadLetters(contract).replay({ id })).toBe(1);
  await vi.waitFor(async () => expect(await seen('é "quoted"')).toEqual(['poison']), 20_000);
  expect(await mesh.deadLetters(contract).get(id)).toBeUndefined();
  expect((await mesh.history(contract, 'é "quoted"')).events[0]).toMatchObject({ command_id: commandId });
  expect(await mesh.deadLetters(contract).drop({ all: true })).toBe(1);
  expect(await letters()).toEqual([]);
});

test('all letters are replayed at once, a page at a time is listed, and what dies again is a new letter', async () => {
  broken.add('bad');
  broken.add('worse');
  for (let i = 0; i < 5; i++) await note(`many-${i}`, i === 4 ? 'worse' : 'bad');
  await vi.waitFor(async () => expect(await letters()).toHaveLength(5), 20_000);
  const page = await mesh.deadLetters(contract).list({ limit: 3 });
  expect(page.letters).toHaveLength(3);
  const rest = await mesh.deadLetters(contract).list({ limit: 3, after: page.next ?? 0 });
  const listed = [...page.letters, ...rest.letters].map(({ entity_id: id }) => id);
  expect(new Set(listed)).toEqual(new Set(['many-0', 'many-1', 'many-2', 'many-3', 'many-4']));
  expect(rest.next).toBeUndefined();
  broken.delete('bad');
  expect(await mesh.deadLetters(contract).replay({ all: true })).toBe(5);
  await vi.waitFor(async () => expect(await letters()).toMatchObject([{ entity_id: 'many-4' }]), 20_000);
  for (let i = 0; i < 4; i++) expect(await seen(`many-${i}`)).toEqual(['bad']);
  await mesh.deadLetters(contract).drop({ all: true });
});

test('I8: whatever lies in the queue, it dies at once, whole, and nothing else suffers', async () => {
  const subject = queuedCommandSubject('fragile', 'x', 'note');
  const odd: [string, Uint8Array][] = [
    [subject, new Uint8Array()],
    [subject, Buffer.from('{"entity_id":"x"')],
    [subject, Buffer.from([0xff, 0xfe, 0x00])],
    [subject, Buffer.from('{"entity_id":"x","data":{"what":1}}')],
    [subject, Buffer.from('{"entity_id":"x","expectedVersion":1,"data":{"what":"a"}}')],
    [queuedCommandSubject('fragile', 'x', 'unheard_of'), Buffer.from('{"entity_id":"x"}')],
  ];
  for (const [to, body] of odd) {
    const ack = (await nats.request(to, body)).json<{ error?: unknown }>();
    expect(ack.error).toBeUndefined();
  }
  // What could not be stored as a dead letter is not taken in.
  const huge = (await nats.request(subject, randomBytes(1_040_000))).json<{ error?: { description: string } }>();
  expect(huge.error?.description).toContain('size exceeds');
  // Headers that the client itself refuses to read, and inboxes that are none.
  const forged = newHeaders();
  forged.set(HEADERS.outcomeTo, 'ent.fragile.x.noted');
  const other = queuedCommandSubject('fragile', 'y', 'note');
  await nats.request(other, '{"entity_id":"y","data":{"what":"answered to its own log?"}}', {
    headers: forged,
    timeout: 5_000,
  });
  await vi.waitFor(async () => expect(await letters()).toHaveLength(odd.length), 20_000);
  expect((await letters()).map(({ code }) => code)).toEqual([
    'invalid_command',
    'invalid_command',
    'invalid_command',
    'invalid_command',
    'invalid_command',
    'unknown_action',
  ]);
  expect((await letters()).map(({ bytes }) => bytes)).toEqual(odd.map(([, body]) => body.length));
  await vi.waitFor(async () => expect(await seen('y')).toEqual(['answered to its own log?']), 20_000);
  expect((await mesh.history(contract, 'y')).events).toHaveLength(1);
  await mesh.deadLetters(contract).drop({ all: true });
});

test('a note that a sender has forged is none, and no letter is put back into a log', async () => {
  const log = 'ent.fragile.x.noted';
  const at = new Date().toISOString();
  const forged = { subject: log, sequence: 1, code: 'c', reason: 'r', tries: 1, stored_at: at, died_at: at };
  const send = async (to: string): Promise<void> => {
    const headers = newHeaders();
    headers.set(HEADERS.deadLetter, JSON.stringify(forged));
    await nats.request(to, 'none', { headers, timeout: 5_000 });
  };
  const subject = queuedCommandSubject('fragile', 'x', 'note');
  await send(subject);
  await vi.waitFor(async () => expect(await letters()).toMatchObject([{ subject, code: 'invalid_command' }]), 20_000);
  await mesh.deadLetters(contract).drop({ all: true });
  // As another agent could, which the server lets write letters too.
  await send(deadLetterSubject('fragile', 'forged'));
  const answer = await nats.request('letters.fragile.replay', '{"all":true}');
  expect(answer.json()).toMatchObject({ payload: { reason: expect.stringContaining(log) as string } });
  expect(await mesh.get(contract, 'x')).toBeUndefined();
  expect(await mesh.deadLetters(contract).drop({ all: true })).toBe(1);
});

test('over the wire: what is asked wrongly is answered, and changes nothing', async () => {
  const ask = async (verb: string, body: string) => (await nats.request(`letters.fragile.${verb}`, body)).json();
  expect(await ask('get', '{"id":1}')).toMatchObject({ payload: { code: 'not_found' } });
  expect(await ask('replay', '{}')).toMatchObject({ payload: { code: 'invalid_command' } });
  expect(await ask('drop', '{"all":false}')).toMatchObject({ payload: { code: 'invalid_command' } });
  expect(await ask('list', 'x')).toMatchObject({ payload: { code: 'invalid_command' } });
  expect(await ask('list', '{}')).toEqual({ letters: [] });
});

test('a letter that nobody can store yet is stored when the stream is there again; until then the command stays', async () => {
  broken.add('late');
  await nats.request(`$JS.API.STREAM.DELETE.${DEAD_LETTERS_STREAM}`, '');
  await note('unlucky', 'late');
  const behind = await note('unlucky', 'after it');
  await vi.waitFor(() => expect(tries.get('late')).toBe(3), 20_000);
  const info = await nats.request('$JS.API.STREAM.INFO.COMMANDS_fragile');
  expect(info.json<{ state: { messages: number } }>().state.messages).toBe(2);
  const create = { name: DEAD_LETTERS_STREAM, subjects: ['dead.*.*'], storage: 'file' };
  await nats.request(`$JS.API.STREAM.CREATE.${DEAD_LETTERS_STREAM}`, JSON.stringify(create));
  expect(await behind.outcome()).toMatchObject({ kind: 'committed' });
  expect(await letters()).toMatchObject([{ entity_id: 'unlucky', tries: 3 }]);
});

test('an outage kills no command, however long it takes: the log is full, and has room again', async () => {
  const stream = 'ENTITIES_fragile';
  const config = async (): Promise<{ config: object; state: { messages: number } }> =>
    (await nats.request(`$JS.API.STREAM.INFO.${stream}`)).json();
  const { config: before, state } = await config();
  const update = (change: object) =>
    nats.request(`$JS.API.STREAM.UPDATE.${stream}`, JSON.stringify({ ...before, ...change }));
  await update({ max_msgs: state.messages });
  const retried = agent.stats().queue.retried;
  const sent = await note('patient', 'waits');
  // More tries than a defect gets.
  await vi.waitFor(() => expect(agent.stats().queue.retried).toBeGreaterThan(retried + 3), 20_000);
  await update({});
  expect(await sent.outcome()).toMatchObject({ kind: 'committed' });
});
