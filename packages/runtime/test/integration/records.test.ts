// Hunts records of refused durable commands that anybody takes for events or entities, and command ids that are forgotten or told
// wrongly because of them.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { entityEventFilter, entityStream, HEADERS, recordSubject, SIGNALS_STREAM } from '@meshforge/protocol';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { readStream } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, sendCommand, sendQuery, type NatsConnection } from '../support/wire.ts';
import { guarded, guardedContract } from './guarded.ts';
import { tally, tallyContract } from './tally.ts';

let server: NatsServer;
let connection: NatsConnection;
let agents: RunningAgent[];
let mesh: Mesh;
const heard: { subject: string; entityId: string; commandId: string }[] = [];

beforeAll(async () => {
  server = await startNatsServer();
  connection = await openConnection(server.url);
  agents = await Promise.all([tally, guarded].map((each) => startAgent(each, { nats: { servers: server.url } })));
  mesh = await connectMesh({ servers: server.url });
  connection.subscribe('evt.>', {
    callback: (_, { data, headers, subject }) => {
      const { entity_id: entityId } = JSON.parse(new TextDecoder().decode(data)) as { entity_id: string };
      heard.push({ subject, entityId, commandId: headers?.get(HEADERS.commandId) ?? '' });
    },
  });
  await connection.flush();
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all((agents ?? []).map((agent) => agent.stop()));
  await connection?.close();
  await server?.stop();
});

const eventsOf = (id: string) => heard.filter(({ entityId }) => entityId === id).map(({ subject }) => subject);

async function recordsOf(agent: string, id: string) {
  const stored = await readStream(connection, entityStream(agent));
  return stored.filter(({ subject }) => subject === recordSubject(agent, id));
}

test('a refusal of a durable command is a record in the log, and told as every refusal is', async () => {
  const sent = await mesh.send(tallyContract, 'add', { entityId: 'told', data: { by: 1 } });
  const outcome = await sent.outcome();
  expect(outcome).toMatchObject({ kind: 'rejected', payload: { code: 'not_found', entity_id: 'told' } });
  const [record] = await recordsOf('tally', 'told');
  expect(record?.header.get(HEADERS.commandId)).toBe(sent.commandId);
  expect(record?.json()).toMatchObject({
    entity_version: 0,
    state: null,
    refusal: { kind: 'rejected', payload: outcome.payload },
  });
  await until('it is told', () => eventsOf('told').length > 0);
  expect(eventsOf('told')).toEqual(['evt.tally.rejected']);
  // A request of the same kind writes nothing.
  await sendCommand(connection, 'tally', 'add', { entityId: 'told', data: { by: 1 } });
  expect(await recordsOf('tally', 'told')).toHaveLength(1);
});

test('an entity whose log holds only records never existed', async () => {
  await (await mesh.send(tallyContract, 'close', { entityId: 'never' })).outcome();
  await (await mesh.send(guardedContract, 'remark', { entityId: 'never' })).outcome();
  expect(await recordsOf('tally', 'never')).toHaveLength(1);
  for (const agent of ['tally', 'guarded']) {
    for (const kind of ['get', 'history'] as const) {
      const { body, errorCode } = await sendQuery(connection, agent, kind, { entity_id: 'never' });
      expect([errorCode, body['payload']]).toMatchObject([404, { code: 'not_found' }]);
    }
    expect((await sendQuery(connection, agent, 'list', { prefix: 'never' })).body).toEqual({ entities: [] });
  }
  // It begins like any other.
  const opened = await sendCommand(connection, 'tally', 'open', { entityId: 'never', expectedVersion: 0 });
  expect(opened.payload).toMatchObject({ entity_version: 1 });
});

test('no subscriber and no reaction takes a record for an event, and history and list leave it out', async () => {
  const entityId = 'between';
  const seen: string[] = [];
  const follow = await mesh.subscribe(tallyContract, { durable: 'records', from: 'now' }, (event) => {
    if (event.entityId === entityId) seen.push(`${event.event} ${event.entityVersion}`);
  });
  endWithTest(follow);
  const reacted: string[] = [];
  const reaction = await mesh.react(tallyContract, { name: 'records', from: 'now' }, (event) => {
    if (event.entityId === entityId) reacted.push(`${event.event} ${event.entityVersion}`);
    return [];
  });
  endWithTest(reaction);
  const send = async (action: 'open' | 'add', expectedVersion?: number) => {
    const guard = expectedVersion === undefined ? {} : { expectedVersion };
    const sent =
      action === 'add'
        ? await mesh.send(tallyContract, action, { entityId, data: { by: 1 }, ...guard })
        : await mesh.send(tallyContract, action, { entityId, ...guard });
    return (await sent.outcome()).kind;
  };
  expect(await send('open')).toBe('committed');
  expect(await send('open')).toBe('rejected');
  expect(await send('add', 7)).toBe('conflict');
  expect(await send('add', 1)).toBe('committed');
  expect(await send('add', 1)).toBe('conflict');

  const expected = ['opened 1', 'added 2'];
  await until('the subscriber and the reaction have seen both', () => seen.length >= 2 && reacted.length >= 2);
  await until('everybody is told', () => eventsOf(entityId).length >= 5);
  expect([seen, reacted]).toEqual([expected, expected]);
  const told = ['opened', 'rejected', 'conflict', 'added', 'conflict'].map((event) => `evt.tally.${event}`);
  expect(eventsOf(entityId)).toEqual(told);
  expect(await recordsOf('tally', entityId)).toHaveLength(3);
  const { body } = await sendQuery(connection, 'tally', 'history', { entity_id: entityId });
  const events = (body['events'] as { event: string; entity_version: number }[]).map((event) => event.entity_version);
  expect(events).toEqual([2, 1]);
  const { body: listed } = await sendQuery(connection, 'tally', 'list', { prefix: entityId });
  expect(listed).toMatchObject({ entities: [{ entity_id: entityId, entity_version: 2 }] });
  // Nor does the server, for whoever filters the log himself.
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info(entityStream('tally'), {
    subjects_filter: entityEventFilter('tally', '*'),
  });
  expect(Object.keys(state.subjects ?? {}).filter((subject) => subject.endsWith('.refused'))).toEqual([]);
});

test('I2: 32 refusals at version 1 push the create out of what the entity remembers, and a retry of it is told its outcome', async () => {
  const entityId = 'crowded';
  const create = { entityId, commandId: 'crowded/create' };
  const first = await sendCommand(connection, 'tally', 'open', create);
  const refused = await Promise.all(
    Array.from({ length: 32 }, (_, i) => mesh.send(tallyContract, 'open', { entityId, commandId: `crowded/${i}` })),
  );
  for (const sent of refused) expect((await sent.outcome()).kind).toBe('rejected');
  expect(await recordsOf('tally', entityId)).toHaveLength(32);
  const again = await sendCommand(connection, 'tally', 'open', create);
  expect([again.event, again.payload, again.replayed]).toEqual([first.event, first.payload, true]);
  // The history goes on behind the records.
  const { body } = await sendQuery(connection, 'tally', 'history', { entity_id: entityId });
  expect(body).toMatchObject({ events: [{ entity_version: 1, command_id: 'crowded/create' }] });
});

test('a durable command and a request with its id are told the same, whichever came first', async () => {
  const entityId = 'both';
  const sent = await mesh.send(tallyContract, 'add', { entityId, data: { by: 1 }, commandId: 'both/1' });
  const { payload } = await sent.outcome();
  await sendCommand(connection, 'tally', 'open', { entityId });
  const again = await sendCommand(connection, 'tally', 'add', { entityId, data: { by: 1 }, commandId: 'both/1' });
  expect(again).toMatchObject({ event: 'evt.tally.rejected', payload, replayed: true, errorCode: 404 });
  const request = await sendCommand(connection, 'tally', 'add', { entityId, data: { by: 2 }, commandId: 'both/2' });
  const copy = await mesh.send(tallyContract, 'add', { entityId, data: { by: 2 }, commandId: 'both/2' });
  expect(await copy.outcome()).toMatchObject({ kind: 'replayed', payload: request.payload });
});

test('a lease whose outcome is no longer kept is told to be decided before: a reply, and no event', async () => {
  const entityId = 'forgotten';
  const keep = (n: number) => {
    const data = { ms: 60_000 };
    return sendCommand(connection, 'guarded', 'keep', { entityId, data, commandId: `forgotten/${n}` });
  };
  for (let n = 0; n <= 32; n++) expect((await keep(n)).replayed).toBe(false);
  const reply = await keep(0);
  expect(reply).toMatchObject({
    event: 'evt.guarded.rejected',
    replayed: true,
    errorCode: 409,
    payload: { entity_id: entityId, action: 'keep', code: 'decided_before' },
  });
  expect(reply.payload['reason']).toContain('forgotten/0 was committed before');
  // One that is refused comes behind it.
  await sendCommand(connection, 'guarded', 'open', { entityId, commandId: 'forgotten/refused' });
  await until('the other refusal is told', () => heard.some(({ commandId }) => commandId === 'forgotten/refused'));
  const refused = heard.filter(({ subject, entityId: id }) => subject === 'evt.guarded.rejected' && id === entityId);
  expect(refused.map(({ commandId }) => commandId)).toEqual(['forgotten/refused']);
  const signals = await readStream(connection, SIGNALS_STREAM);
  expect(signals.filter(({ header }) => header.get(HEADERS.commandId) === 'forgotten/0')).toEqual([]);
});
