// Hunts for what durable commands need and the shipped permissions forbid: real agents, and every user in its own account.
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import { runSmoke, type SmokeReport } from '@meshforge/smoke';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { refusalsDuring } from './refusals.ts';
import { runningMeshForThisFile } from './running-mesh.ts';
import { contents } from './streams.ts';

const running = runningMeshForThisFile();
const { connectAs, meshOf, violations } = running;

/** What the test tries on purpose. */
const forbidden = /letters\.inventory\.(?:replay|drop)|queue\.cmd\.inventory\.x\.adjust/;
const unexpected = (): string[] => violations().filter((line) => !forbidden.test(line));

async function malformed(connection: NatsConnection, of: Readonly<Record<string, string>> = {}): Promise<void> {
  const named = headers();
  for (const [name, value] of Object.entries(of)) named.set(name, value);
  const ack = await connection.request('queue.cmd.inventory.x.adjust', 'no JSON', { headers: named, timeout: 60_000 });
  expect(ack.json()).toMatchObject({ stream: 'COMMANDS_inventory' });
}

test('a sender’s commands are executed at once and later, by both agents, and it is told what became of them', async () => {
  const [client, sender] = [await meshOf('client'), await meshOf('sender')];
  const send = async (delta: number, afterMs?: number) =>
    await sender.send(inventoryContract, 'adjust', {
      entityId: 'durable',
      data: { delta },
      ...(afterMs === undefined ? {} : { afterMs }),
    });
  await client.request(inventoryContract, 'create', { entityId: 'durable', data: { name: 'bolt', quantity: 1 } });
  expect(await (await send(2)).outcome()).toMatchObject({ kind: 'committed', payload: { state: { quantity: 3 } } });
  expect(await (await send(-9)).outcome()).toMatchObject({ kind: 'rejected' });
  const gone = await send(100, 1_000);
  const comes = await send(4, 1_000);
  expect(await gone.cancel()).toBe(true);
  expect(await comes.outcome()).toMatchObject({ kind: 'committed', payload: { state: { quantity: 7 } } });
  await sleep(500);
  expect(await client.get(inventoryContract, 'durable')).toMatchObject({ entity_version: 3, state: { quantity: 7 } });

  const grant = await sender.send(lockContract, 'acquire', { entityId: 'durable', data: { owner_id: 'sender' } });
  expect(await grant.outcome()).toMatchObject({ kind: 'committed' });
  expect(unexpected()).toEqual([]);
});

test('a reservation ends by itself, and the dead letters of the reaction that does it can be listed by a client', async () => {
  const client = await meshOf('client');
  const entityId = 'reserved';
  await client.request(inventoryContract, 'create', { entityId, data: { name: 'bolt', quantity: 1 } });
  const data = { order_id: 'o', quantity: 1, ttl_ms: 1_000 };
  expect((await client.request(inventoryContract, 'reserve', { entityId, data })).kind).toBe('committed');
  await until('it is released', async () => (await client.get(inventoryContract, entityId))?.state.reserved === 0);
  const connection = await connectAs('client');
  const letters = await connection.request('letters.inventory_expiry.list', '{}', { timeout: 60_000 });
  expect(letters.json()).toEqual({ letters: [] });
  // It is told of what it has sent.
  await sleep(300);
  expect(unexpected()).toEqual([]);
});

test('another replica goes on when the one that executes ends', async () => {
  const [client, sender] = [await meshOf('client'), await meshOf('sender')];
  await client.request(inventoryContract, 'create', { entityId: 'handed-on', data: { name: 'bolt' } });
  const first = running.agents.filter(({ name }) => name === 'inventory');
  await running.start('inventory');
  for (const { child, exited } of first) {
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  }
  const sent = await sender.send(inventoryContract, 'adjust', { entityId: 'handed-on', data: { delta: 1 } });
  expect(await sent.outcome()).toMatchObject({ kind: 'committed' });
  expect(unexpected()).toEqual([]);
});

test('a client lists and reads a dead letter; the operator alone replays and drops it', async () => {
  const [client, operator] = [await meshOf('client'), await meshOf('operator')];
  await malformed(await connectAs('sender'));
  const asClient = client.deadLetters(inventoryContract);
  const asOperator = operator.deadLetters(inventoryContract);
  const idsNow = async (): Promise<number[]> => (await asClient.list()).letters.map(({ id }) => id);
  await until('the letter is there', async () => (await idsNow()).length === 1);
  const [id = 0] = await idsNow();
  expect(await asClient.get(id)).toMatchObject({ subject: 'queue.cmd.inventory.x.adjust', body: 'no JSON' });

  const connection = await connectAs('client');
  const refused = await refusalsDuring(connection, async () => {
    for (const verb of ['replay', 'drop']) connection.publish(`letters.inventory.${verb}`, '{"all":true}');
    await connection.flush();
    await sleep(300);
  });
  expect(refused).toEqual(['publish letters.inventory.replay', 'publish letters.inventory.drop']);
  expect(await idsNow()).toEqual([id]);

  expect(await asOperator.replay({ id })).toBe(1);
  // It is as broken as before.
  await until('it has died again', async () => (await idsNow()).some((other) => other > id));
  expect(await idsNow()).toHaveLength(1);
  expect(await asOperator.drop({ all: true })).toBe(1);
  expect(await idsNow()).toEqual([]);
  expect(unexpected()).toEqual([]);
});

test('a client cannot send durable commands: its acknowledgement would go into any log', async () => {
  const client = await connectAs('client');
  const operator = await connectAs('operator');
  const before = await contents(operator);
  const refused = await refusalsDuring(client, () =>
    client.publish('queue.cmd.inventory.x.adjust', '{}', { reply: 'ent.inventory.forged.0.created' }),
  );
  expect(refused).toEqual(['publish queue.cmd.inventory.x.adjust']);
  expect(await contents(operator)).toEqual(before);
});

/** How many messages each subject of a stream has. */
async function subjectsIn(operator: NatsConnection, stream = 'COMMANDS_inventory'): Promise<Record<string, number>> {
  const { streams } = await jetstreamManager(operator);
  const { state } = await streams.info(stream, { subjects_filter: '>' });
  return state.subjects ?? {};
}

const queuedIn = async (operator: NatsConnection): Promise<string[]> =>
  Object.keys(await subjectsIn(operator)).filter((subject) => subject.startsWith('queue.cmd.'));

const schedulesIn = async (operator: NatsConnection): Promise<string[]> =>
  Object.keys(await subjectsIn(operator)).filter((subject) => subject.startsWith('queue.later.'));

test('the checks of durable commands are made for the operator, leave nothing behind, and are skipped for a client', async () => {
  const smokeAs = async (name: 'client' | 'operator'): Promise<SmokeReport> => {
    const { inboxPrefix, seedFile: nkeySeedFile } = running.users[name];
    const connection = { servers: [running.url], nkeySeedFile };
    const only = 'durable command';
    return await runSmoke({ connection, inboxPrefix, only, patienceMs: 20_000, onLeftover: (text) => left.push(text) });
  };
  const left: string[] = [];
  const operator = await connectAs('operator');
  const { DEAD_LETTERS: letters } = await contents(operator);
  const before = await schedulesIn(operator);
  const asOperator = await smokeAs('operator');
  expect(asOperator.checks.filter(({ ok, skipped }) => !ok || skipped !== undefined)).toEqual([]);
  expect(asOperator.passed).toBe(9);
  expect(await smokeAs('client')).toMatchObject({ passed: 0, failed: 0, skipped: 9 });
  expect(left).toEqual([]);
  // What says that a command was cancelled, or executed, goes by itself.
  await until('nothing is queued', async () => (await queuedIn(operator)).length === 0);
  await until('nothing is left', async () => (await schedulesIn(operator)).length === before.length);
  expect((await contents(operator))['DEAD_LETTERS']).toBe(letters);
});

test('no header of a sender’s command makes an agent write into its log or ask JetStream', async () => {
  const sender = await connectAs('sender');
  const operator = await connectAs('operator');
  const mesh = await meshOf('operator');
  const letters = mesh.deadLetters(inventoryContract);
  // All but the records that move the mark past what is dead.
  const logs = async (): Promise<unknown> => {
    const [inventory, lock] = await Promise.all(
      ['inventory', 'lock'].map((token) => subjectsIn(operator, `ENTITIES_${token}`)),
    );
    return { inventory: { ...inventory, 'ent.inventory.x.refused': 0 }, lock };
  };
  const before = await logs();
  const log = 'ent.inventory.forged.0.created';
  const at = new Date().toISOString();
  const note = { subject: log, sequence: 1, code: 'c', reason: 'r', tries: 1, stored_at: at, died_at: at };
  for (const name of ['Mesh-Dead-Letter', 'mesh-dead-letter']) {
    await malformed(sender, { 'Mesh-Outcome-To': log, [name]: JSON.stringify(note) });
  }
  await until('both are dead', async () => (await letters.list()).letters.length === 2);
  const subjects = (await letters.list()).letters.map(({ subject }) => subject);
  await letters.replay({ all: true });
  await sleep(500);
  expect(await logs()).toEqual(before);
  expect(subjects).toEqual(['queue.cmd.inventory.x.adjust', 'queue.cmd.inventory.x.adjust']);
  await letters.drop({ all: true });
  expect(await queuedIn(operator)).toEqual([]);
  expect(unexpected()).toEqual([]);
});
