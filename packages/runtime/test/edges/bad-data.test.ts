// Hunts for data that an action should refuse and takes, for queries that are answered wrongly or not at all, and for ids
// that two entities could share or that lead out of the subject they belong into.
import { eventSubject, LIMITS, LOCK_LIMITS, statusOfCode, type JsonObject } from '@meshforge/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCommits } from '../support/stream-witness.ts';
import { sendCommand, sendQuery } from '../support/wire.ts';
import { AGENTS, INVENTORY, LOCKS, startMesh, type AgentSpec, type Mesh } from './support/mesh.ts';
import { expectRefused, Target, type Heard } from './support/target.ts';

let mesh: Mesh;
const targets = new Map<string, Target>();

beforeAll(async () => {
  mesh = await startMesh();
  for (const spec of AGENTS) targets.set(spec.name, await Target.open(mesh, spec));
  await sendCommand(mesh.client, 'inventory', 'create', { entityId: 'target', data: { name: 'bolt', quantity: 10 } });
  const order = { order_id: 'order-1', quantity: 2 };
  await sendCommand(mesh.client, 'inventory', 'reserve', { entityId: 'target', data: order });
});

afterAll(async () => {
  await mesh?.stop();
});

const targetOf = ({ name }: AgentSpec): Target => targets.get(name) as Target;

/** Data as JSON text, since some of it no JavaScript value can say; undefined: the command has none. */
type Case = readonly [action: string, data: string | undefined, paths: readonly string[]];

const long = JSON.stringify('x'.repeat(257));
const wide = JSON.stringify('😀'.repeat(257));
const half = String.raw`"\ud83d"`;
const QUANTITIES = ['-1', '1.5', '"1"', 'null', '1e400', '-1e400', '1000000000001', 'true', '[1]', '{}'];

const INVENTORY_CASES: readonly Case[] = [
  ['create', undefined, ['data.name']],
  ['create', '{}', ['data.name']],
  ...['""', long, wide, half, 'null', '1', '["bolt"]'].map((name): Case => [
    'create',
    `{"name":${name}}`,
    ['data.name'],
  ]),
  ...QUANTITIES.map((quantity): Case => ['create', `{"name":"bolt","quantity":${quantity}}`, ['data.quantity']]),
  ['create', '{"name":"bolt","reserved":1}', ['data.reserved']],
  ['create', '{"name":"bolt","constructor":1,"toString":2}', ['data.constructor', 'data.toString']],
  ['create', '{"name":"","quantity":-1,"x":1}', ['data.name', 'data.quantity', 'data.x']],
  ['update', undefined, ['data']],
  ['update', '{}', ['data']],
  ['update', '{"name":""}', ['data.name']],
  ...QUANTITIES.map((quantity): Case => ['update', `{"quantity":${quantity}}`, ['data.quantity']]),
  ['update', '{"Name":"bolt"}', ['data.Name', 'data']],
  ['adjust', '{}', ['data.delta']],
  ...['0', '-0', '0.5', '"1"', 'null', '1e400', '-1e400', '1000000000001', '-1000000000001', '[1]'].map(
    (delta): Case => ['adjust', `{"delta":${delta}}`, ['data.delta']],
  ),
  ['adjust', '{"delta":1,"quantity":1}', ['data.quantity']],
  ['reserve', '{}', ['data.order_id', 'data.quantity']],
  ...['0', ...QUANTITIES].map((quantity): Case => [
    'reserve',
    `{"order_id":"o","quantity":${quantity}}`,
    ['data.quantity'],
  ]),
  ...['""', long, wide, half, 'null', '7', '"__proto__"'].flatMap((id): Case[] => [
    ['reserve', `{"order_id":${id},"quantity":1}`, ['data.order_id']],
    ['release', `{"order_id":${id}}`, ['data.order_id']],
    ['fulfil', `{"order_id":${id}}`, ['data.order_id']],
  ]),
  ['release', undefined, ['data.order_id']],
  ['release', '{"order_id":"order-1","quantity":1}', ['data.quantity']],
  ['fulfil', '{"orderId":"order-1"}', ['data.order_id', 'data.orderId']],
  ['delete', '{"force":true}', ['data.force']],
];

const { minTtlMs, maxTtlMs, maxWaitMs } = LOCK_LIMITS;
const TTLS = [minTtlMs - 1, maxTtlMs + 1, 0, -1, 1_000.5, '"1000"', 'null', '1e400', '{}'];

const LOCK_CASES: readonly Case[] = [
  ...['acquire', 'refresh', 'release'].flatMap((action): Case[] => [
    [action, undefined, ['data.owner_id']],
    [action, '{}', ['data.owner_id']],
    ...['""', long, wide, half, 'null', '1', '{}'].map((id): Case => [action, `{"owner_id":${id}}`, ['data.owner_id']]),
    [action, '{"owner_id":"a","ownerId":"a"}', ['data.ownerId']],
  ]),
  ...TTLS.map((ttl): Case => ['acquire', `{"owner_id":"a","ttl_ms":${ttl}}`, ['data.ttl_ms']]),
  ...TTLS.map((ttl): Case => ['refresh', `{"owner_id":"a","ttl_ms":${ttl}}`, ['data.ttl_ms']]),
  ...[-1, maxWaitMs + 1, 0.5, '"0"', 'null', '1e400'].map((wait): Case => [
    'acquire',
    `{"owner_id":"a","wait_ms":${wait}}`,
    ['data.wait_ms'],
  ]),
  ...[0, -1, 1.5, '"1"', 'null', '9007199254740993'].flatMap((token): Case[] => [
    ['refresh', `{"owner_id":"a","fencing_token":${token}}`, ['data.fencing_token']],
    ['release', `{"owner_id":"a","fencing_token":${token}}`, ['data.fencing_token']],
  ]),
  ['acquire', '{"owner_id":"a","fencing_token":1}', ['data.fencing_token']],
  ['release', '{"owner_id":"a","ttl_ms":1000}', ['data.ttl_ms']],
];

describe.each([[INVENTORY, INVENTORY_CASES] as const, [LOCKS, LOCK_CASES] as const])('$name', (spec, cases) => {
  test.each(cases)('I8: %s with the data %s is refused', async (action, data, paths) => {
    const body = `{"entity_id":"target"${data === undefined ? '' : `,"data":${data}`}}`;
    const message = { subject: `cmd.${spec.token}.${action}`, body };
    await expectRefused(targetOf(spec), message, { code: 'invalid_command', paths, action, entityId: 'target' });
  });
});

test.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'length', '0', ' ', '\u0000'])(
  'I8: an order named %j is an order like any other',
  async (order) => {
    const send = (action: string, data: JsonObject): ReturnType<typeof sendCommand> =>
      sendCommand(mesh.client, 'inventory', action, { entityId: 'target', data });
    const unknown = await send('release', { order_id: order });
    expect(unknown.payload).toMatchObject({ code: 'unknown_reservation' });
    const reserved = await send('reserve', { order_id: order, quantity: 1 });
    expect(reserved.payload).toMatchObject({ state: { reserved: 3, reservations: { 'order-1': 2, [order]: 1 } } });
    expect((await send('reserve', { order_id: order, quantity: 1 })).payload).toMatchObject({
      code: 'already_reserved',
    });
    const released = await send('release', { order_id: order });
    expect(released.payload).toMatchObject({ state: { reserved: 2, reservations: { 'order-1': 2 } } });
  },
);

/** A query that is refused, the paths of its issues, and its code if it is another than `invalid_command`. */
const QUERY_CASES: readonly (readonly [kind: 'get' | 'history' | 'list', body: string, paths: string[]])[] = [
  ['get', '', []],
  ['get', 'null', ['']],
  ['get', '[]', ['']],
  ['get', '{}', ['entity_id']],
  ['get', '{"entity_id":""}', ['entity_id']],
  ['get', `{"entity_id":${long}}`, ['entity_id']],
  ['get', `{"entity_id":${half}}`, ['entity_id']],
  ['get', '{"entity_id":"a","min_version":0}', ['min_version']],
  ['get', '{"entity_id":"a","min_version":1.5}', ['min_version']],
  ['get', '{"entity_id":"a","min_version":"1"}', ['min_version']],
  ['get', '{"entity_id":"a","minVersion":1}', ['minVersion']],
  ['get', '{"entity_id":"a","__proto__":{}}', ['__proto__']],
  ['get', '['.repeat(100_000), []],
  ['history', '{}', ['entity_id']],
  ['history', '{"entity_id":"a","limit":0}', ['limit']],
  ['history', '{"entity_id":"a","limit":1001}', ['limit']],
  ['history', '{"entity_id":"a","limit":-1}', ['limit']],
  ['history', '{"entity_id":"a","limit":1e400}', ['limit']],
  ['history', '{"entity_id":"a","limit":null}', ['limit']],
  ['history', '{"entity_id":"a","before_version":0}', ['before_version']],
  ['history', '{"entity_id":"a","after":1}', ['after']],
  ['list', '', []],
  ['list', '{"limit":0}', ['limit']],
  ['list', '{"limit":1001}', ['limit']],
  ['list', '{"limit":"10"}', ['limit']],
  ['list', `{"after":${long}}`, ['after']],
  ['list', `{"prefix":${wide}}`, ['prefix']],
  ['list', `{"prefix":${half}}`, ['prefix']],
  ['list', '{"entity_id":"a"}', ['entity_id']],
  ['list', '{"constructor":{}}', ['constructor']],
];

describe.each(AGENTS)('queries to $name', (spec) => {
  test.each(QUERY_CASES)('I8: %s %s is refused and told to nobody else', async (kind, body, paths) => {
    const { replies, signals, written } = await targetOf(spec).shoot({ subject: `qry.${spec.token}.${kind}`, body });
    expect({ replies: replies.length, signals, written }).toEqual({ replies: 1, signals: [], written: 0 });
    const [{ body: reply }] = replies as [Heard];
    const { event, payload } = reply as { event: string; payload: { issues?: { path: string }[] } };
    expect(event).toBe(eventSubject(spec.name, 'rejected'));
    expect(payload).toMatchObject({ action: kind, code: 'invalid_command', entity_id: null });
    expect((payload.issues ?? []).map(({ path }) => path)).toEqual(paths);
    expect(replies[0]?.headers?.get('Nats-Service-Error-Code')).toBe('400');
    expect(replies[0]?.bytes).toBeLessThan(4_096);
  });

  test('I8: what is not there is not found, also at a version that nobody has written', async () => {
    for (const kind of ['get', 'history'] as const) {
      const { body, errorCode } = await sendQuery(mesh.client, spec.name, kind, { entity_id: 'nothing' });
      expect(body['payload']).toMatchObject({ code: 'not_found', entity_id: 'nothing', action: kind });
      expect(errorCode).toBe(404);
    }
    await sendCommand(mesh.client, spec.name, spec.good.action, { entityId: 'young', data: spec.good.data });
    const ahead = await sendQuery(mesh.client, spec.name, 'get', { entity_id: 'young', min_version: 7 });
    expect(ahead.body['payload']).toMatchObject({ code: 'unavailable', reason: expect.stringContaining('version 1') });
    expect(ahead.errorCode).toBe(statusOfCode('unavailable'));
  });
});

const ODD_IDS = [
  [
    'x'.repeat(LIMITS.entityIdCharacters),
    '😀'.repeat(LIMITS.entityIdCharacters),
    '\u0000'.repeat(LIMITS.entityIdCharacters),
  ],
  ['.', '..', 'a.b', 'a..b', '.a', 'a.', '*', '>', 'a.>', '*.created', 'x.created'],
  [' ', '  ', ' a', 'a ', 'a', 'A', '\t', '\n', '\r\n', '\r\nPUB ent.inventory.x.created 0\r\n', '\u0000', 'a\u0000'],
  ['%', '%20', '%2E', '%2e', '%00', '+', '/', '../../etc', '\\', '"', "'", '`', '$', '$JS.API.INFO', '_INBOX.x'],
  ['é', 'e\u0301', 'ß', 'ẞ', 'ﬀ', '\u200b', '\u202e', '\ufeff', '\ufeffa', '\ufffd', '\u0085', '\u2028', '👩‍👩‍👧'],
  ['__proto__', 'constructor', 'toString', 'null', 'undefined', '0', '-0', '1e400', 'true', '{}', '[]'],
].flat();

describe.each(AGENTS)('ids of $name', (spec) => {
  test('I8: each of many odd ids names an entity of its own, on one subject of its own', async () => {
    const before = new Set((await readCommits(mesh.client, spec.name)).map(({ entityId }) => entityId));
    const { action, data, event } = spec.good;
    const replies = await Promise.all(
      ODD_IDS.map((entityId) => sendCommand(mesh.client, spec.name, action, { entityId, expectedVersion: 0, data })),
    );
    for (const [i, reply] of replies.entries()) {
      expect(reply.event).toBe(`evt.${spec.token}.${event}`);
      expect(reply.payload).toMatchObject({ entity_id: ODD_IDS[i], entity_version: 1 });
      const { body } = await sendQuery(mesh.client, spec.name, 'get', { entity_id: ODD_IDS[i] });
      expect(body).toMatchObject({ entity_id: ODD_IDS[i], entity_version: 1 });
      const history = await sendQuery(mesh.client, spec.name, 'history', { entity_id: ODD_IDS[i] });
      expect(history.body['events']).toHaveLength(1);
    }
    const commits = (await readCommits(mesh.client, spec.name)).filter(({ entityId }) => !before.has(entityId));
    expect(commits.map(({ entityId }) => entityId).sort()).toEqual([...ODD_IDS].sort());
    for (const { subject } of commits) {
      expect(subject).toMatch(new RegExp(`^ent\\.${spec.token}\\.[\\w%-]+\\.[01]\\.${event}$`));
    }
  });

  test('I8: list pages through odd ids, each once, in order', async () => {
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const { body } = await sendQuery(mesh.client, spec.name, 'list', { limit: 20, after });
      seen.push(...(body['entities'] as { entity_id: string }[]).map((entity) => entity.entity_id));
      after = body['next'] as string | undefined;
    } while (after !== undefined);
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(seen).toEqual(expect.arrayContaining(ODD_IDS));
  });

  test('I8: the longest of ids is named in a refusal, in short', async () => {
    for (const id of ['😀'.repeat(LIMITS.entityIdCharacters), '\u0000'.repeat(LIMITS.entityIdCharacters)]) {
      const body = JSON.stringify({ entity_id: id, expected_version: 7, data: spec.good.data });
      const { replies, signals, written } = await targetOf(spec).shoot({ body });
      expect({ replies: replies.length, signals: signals.length, written }).toEqual({
        replies: 1,
        signals: 1,
        written: 0,
      });
      expect(replies[0]?.body['payload']).toMatchObject({ entity_id: id, expected_version: 7, current_version: 1 });
      expect(replies[0]?.bytes).toBeLessThan(4_096);
    }
  });
});
