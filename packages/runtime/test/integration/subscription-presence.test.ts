// Hunts: a follower that stops for good, or skips events, without a word: its consumer or stream was deleted, recreated or
// restored, or a process of another release shares its name.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { beforeEach, expect, test } from 'vitest';
import {
  connectMesh,
  type MeshError,
  startAgent,
  type ChangeEvent,
  type Mesh,
  type RunningAgent,
  type SubscribeOptions,
} from '../../src/index.ts';
import { backUp, deleteStream, restore } from '../support/backup.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';
import { tally, tallyContract } from './tally.ts';

const LOG = 'ENTITIES_tally';

let server: NatsServer;
let operator: NatsConnection;
let manager: JetStreamManager;
let agent: RunningAgent;

beforeEach(async () => {
  server = endWithTest(await startNatsServer());
  operator = endWithTest(await openConnection(server.url));
  manager = await jetstreamManager(operator);
  agent = endWithTest(await startAgent(tally, { nats: { servers: server.url } }));
});

const client = async (): Promise<Mesh> => endWithTest(await connectMesh({ servers: server.url }));

interface Follower {
  /** Versions of what it has handled, in order. */
  versions: number[];
  events: ChangeEvent<unknown>[];
  errors: MeshError[];
}

async function follow(options: Partial<SubscribeOptions> = {}): Promise<Follower> {
  const mesh = await client();
  const follower: Follower = { versions: [], events: [], errors: [] };
  const onError = (error: unknown): void => void follower.errors.push(error as MeshError);
  const subscription = await mesh.subscribe(tallyContract, { durable: 'follower', onError, ...options }, (event) => {
    follower.versions.push(event.entityVersion);
    follower.events.push(event);
  });
  endWithTest(subscription);
  return follower;
}

async function add(times = 1): Promise<void> {
  for (let i = 0; i < times; i++) {
    const { kind } = await agent.execute('add', { entityId: 'e', data: { by: 1 } });
    expect(kind).toBe('committed');
  }
}

const open = (): Promise<unknown> => agent.execute('open', { entityId: 'e' });
const saw = (follower: Follower, version: number): Promise<unknown> =>
  until(
    () =>
      `version ${version} came: ${follower.versions.join()}; ${follower.errors.map(({ message }) => message).join('; ')}`,
    () => follower.versions.includes(version),
  );

test('a subscriber is told that its consumer is gone, which it does not create; it goes on when it is back', async () => {
  const follower = await follow();
  await open();
  await add();
  await saw(follower, 2);
  const { config, delivered } = await manager.consumers.info(LOG, 'follower');
  await manager.consumers.delete(LOG, 'follower');
  await until('it was told', () => follower.errors.length > 0);
  expect(follower.errors.map(({ code, message }) => [code, message])).toEqual([
    ['gone', expect.stringContaining(`consumer follower of stream ${LOG} is gone`)],
  ]);
  await add(3);
  await expect(manager.consumers.info(LOG, 'follower')).rejects.toThrow('consumer not found');

  // Where the one before stood.
  const start = { deliver_policy: 'by_start_sequence', opt_start_seq: delivered.stream_seq + 1 } as const;
  await manager.consumers.add(LOG, { ...config, ...start });
  await saw(follower, 5);
  await add();
  await saw(follower, 6);
  expect(follower.versions).toEqual([1, 2, 3, 4, 5, 6]);
  expect(follower.errors.map(({ code }) => code)).toEqual(['gone', 'gone']);
});

test('a subscriber goes on after its stream was restored, and handles what has a sequence of before', async () => {
  const follower = await follow();
  await open();
  await add(2);
  await saw(follower, 3);
  const backup = await backUp(operator, LOG);
  await add(2);
  await saw(follower, 5);
  await deleteStream(operator, LOG);
  await until('it was told', () => follower.errors.length > 0);
  await restore(operator, backup);
  await until('the agent counts on from the backup', async () => {
    const { payload } = await agent.execute('add', { entityId: 'e', data: { by: 1 } });
    return (payload as { entity_version?: number }).entity_version === 5;
  });
  await add();
  await saw(follower, 6);
  // 4 and 5 were of the log that is lost, and then of the restored one, at the same sequences.
  const twice = follower.events.filter(({ entityVersion }) => entityVersion === 4 || entityVersion === 5);
  expect(twice.map(({ entityVersion }) => entityVersion)).toEqual([4, 5, 4, 5]);
  expect(twice[0]?.sequence).toBe(twice[2]?.sequence);
  expect(follower.errors.map(({ code }) => code)).toContain('gone');
});

test('a consumer that was replaced between two looks is reported, and what is in hand is not acknowledged at the new one', async () => {
  let release = (): void => {};
  let isHandling = false;
  const errors: MeshError[] = [];
  const versions: number[] = [];
  const mesh = await client();
  const onError = (error: unknown): void => void errors.push(error as MeshError);
  const subscription = await mesh.subscribe(tallyContract, { durable: 'slow', onError }, async (event) => {
    versions.push(event.entityVersion);
    if (isHandling) return;
    isHandling = true;
    await new Promise<void>((resolve) => (release = resolve));
  });
  endWithTest(subscription);
  await open();
  await until('it is handled', () => isHandling);
  const { config } = await manager.consumers.info(LOG, 'slow');
  await manager.consumers.delete(LOG, 'slow');
  await manager.consumers.add(LOG, config);
  await until('it was told', () => errors.length > 0);
  release();
  // The new consumer has delivered nothing that was acknowledged: it delivers the event, maybe to this very client.
  await until('it came again', () => versions.length > 1);
  expect(versions).toEqual([1, 1]);
});

test('a watch shows the events of a restored log, although their sequences were used before', async () => {
  const mesh = await client();
  const watch = mesh.watch(tallyContract, { events: ['added'] });
  const seen: ChangeEvent<unknown>[] = [];
  const watching = (async () => {
    for await (const event of watch) if (event.kind === 'change') seen.push(event);
  })();
  // The subscription is on its way.
  await mesh.get(tallyContract, 'e');
  await open();
  const backup = await backUp(operator, LOG);
  await add(3);
  await until('the first were seen', () => seen.length === 3);
  await deleteStream(operator, LOG);
  await restore(operator, backup);
  await until('the agent counts on from the backup', async () => {
    const { payload } = await agent.execute('add', { entityId: 'e', data: { by: 1 } });
    return (payload as { entity_version?: number }).entity_version === 2;
  });
  await until('the event was seen', () => seen.length === 4);
  expect(seen.map(({ entityVersion }) => entityVersion)).toEqual([2, 3, 4, 2]);
  expect(seen[3]?.sequence).toBe(seen[0]?.sequence);
  watch.stop();
  await watching;
});

test('a process that names fewer events takes none away, and leaves to others what it does not handle', async () => {
  const newer = await follow({ events: ['opened', 'added'] });
  const older = await follow({ events: ['added'] });
  await open();
  await add();
  await agent.execute('close', { entityId: 'e' });
  await until('the newer has what the older does not handle', () =>
    newer.events.some(({ event }) => event === 'opened'),
  );
  await until('both have what they handle', () => newer.events.length + older.events.length === 2);
  for (let life = 0; life < 10; life++) {
    await open();
    await agent.execute('close', { entityId: 'e' });
  }
  const openings = () => newer.events.filter(({ event }) => event === 'opened').length;
  await until(
    () => `all openings came: ${openings()}`,
    () => openings() === 11,
  );
  expect(older.events.filter(({ event }) => event !== 'added')).toEqual([]);
  expect(newer.errors).toEqual([]);
  // It may never have been given one; if it was, it says so once.
  const told = older.errors.map(({ code, message }) => `${code}: ${message}`);
  expect(told.length).toBeLessThanOrEqual(1);
  for (const text of told) expect(text).toMatch('also delivers "opened", which this process does not handle');
});

test('a process alone that names fewer events than before is told; exactEvents makes them the events of the subscription', async () => {
  const mesh = await client();
  await (await mesh.subscribe(tallyContract, { durable: 'narrows', events: ['opened', 'added'] }, () => {})).stop();
  const narrow = await follow({ durable: 'narrows', events: ['added'] });
  await open();
  await add();
  await until('it was told', () => narrow.errors.length > 0);
  expect(narrow.errors.map(({ code }) => code)).toEqual(['stream_mismatch']);
  await saw(narrow, 2);

  const exact = await follow({ durable: 'narrows', events: ['added'], exactEvents: true });
  const { config } = await manager.consumers.info(LOG, 'narrows');
  expect(config.filter_subjects ?? [config.filter_subject]).toEqual(['ent.tally.*.*.added']);
  expect(exact.errors).toEqual([]);
});

test('events that somebody took away from a running subscriber come again, and it is told', async () => {
  const follower = await follow({ events: ['opened', 'added'] });
  await open();
  await saw(follower, 1);
  await manager.consumers.update(LOG, 'follower', { filter_subjects: ['ent.tally.*.*.opened'] });
  await until('it was told', () => follower.errors.length > 0);
  expect(follower.errors[0]?.message).toMatch('it does not deliver ent.tally.*.*.added');
  await until('it has its events back', async () => {
    const { config: now } = await manager.consumers.info(LOG, 'follower');
    return now.filter_subjects?.includes('ent.tally.*.*.added');
  });
  await add();
  await saw(follower, 2);
});
