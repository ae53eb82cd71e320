/**
 * Hunts events that are handled out of order or by the wrong process, and takeovers that wait: over stops, deaths, releases with
 * other events, and expiries that are void.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { createInbox, type NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectMesh, startAgent, type Mesh, type ReactOptions, type RunningAgent } from '../../src/index.ts';
import { rawHeaders } from '../../src/nats/raw-headers.ts';
import { tally, tallyContract } from '../integration/tally.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

const STREAM = 'ENTITIES_tally';
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

const open = (entityId: string) => mesh.request(tallyContract, 'open', { entityId, data: {} });
const add = (entityId: string, by = 1) => mesh.request(tallyContract, 'add', { entityId, data: { by } });

/** A process with a reaction that notes `<entity> <version>`. */
async function react(options: ReactOptions, slowMs: number | ((entityId: string) => number) = 0) {
  const own = endWithTest(await connectMesh({ servers: server.url }));
  const handled: string[] = [];
  const faults: string[] = [];
  const onFault = (error: unknown): void => void faults.push((error as Error).message);
  const reaction = await own.react(tallyContract, { from: 'now', onFault, ...options }, async (event) => {
    await sleep(typeof slowMs === 'number' ? slowMs : slowMs(event.entityId));
    handled.push(`${event.entityId} ${event.entityVersion}`);
    return undefined;
  });
  return { handled, faults, reaction, stop: () => own.close() };
}

async function consumerOf(name: string) {
  const info = await wire.request(`$JS.API.CONSUMER.INFO.${STREAM}.react_${name}`);
  return info.json<{ num_ack_pending: number; config: { filter_subject?: string; filter_subjects?: string[] } }>();
}

/** Takes events as a process that dies at once. */
async function lose(name: string, count: number): Promise<void> {
  const inbox = createInbox();
  const subscription = wire.subscribe(inbox);
  const pull = JSON.stringify({ batch: count, group: 'executor', expires: 5_000_000_000 });
  wire.publish(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.react_${name}`, pull, { reply: inbox });
  let lost = 0;
  for await (const message of subscription) if (message.subject === inbox || ++lost === count) break;
  subscription.unsubscribe();
  expect(lost).toBe(count);
}

test('after a stop the first event is handled at once, whatever else was committed meanwhile', async () => {
  const name = 'restarted';
  const waits: number[] = [];
  let running = await react({ name, events: ['added'] });
  for (let i = 0; i < 6; i++) {
    const entityId = `${name}-${i}`;
    await running.stop();
    await open(entityId);
    running = await react({ name, events: ['added'] });
    const sentAt = performance.now();
    await add(entityId);
    await until('it is handled', () => running.handled.includes(`${entityId} 2`));
    waits.push(performance.now() - sentAt);
  }
  // The machine may be slow at times; a timer would be slow each time.
  expect(Math.min(...waits)).toBeLessThan(100);
});

test('when one of several stops, another goes on at once with what it had in its hands', async () => {
  const name = 'shared';
  const first = await react({ name, events: ['added'] }, 5);
  await open('shared');
  await add('shared');
  await until('it is handled', () => first.handled.length === 1);
  const second = await react({ name, events: ['added'] });
  const third = await react({ name, events: ['added'] });
  const events = Array.from({ length: 50 }, (_, i) => `shared ${i + 3}`);
  const adding = (async () => {
    for (const _ of events) await add('shared');
  })();
  await until('some are handled', () => first.handled.length > 10);
  await Promise.all([first.stop(), second.stop()]);
  await adding;
  await until('all are handled', () => third.handled.at(-1) === events.at(-1));
  const all = [...first.handled.slice(1), ...second.handled, ...third.handled];
  expect(all).toEqual(events);
});

test('what a dead process had in its hands is handled before what comes behind it', async () => {
  const name = 'widow';
  await (await react({ name, events: ['added'] })).stop();
  await Promise.all(['w1', 'w2'].map(open));
  for (let i = 0; i < 3; i++) await Promise.all(['w1', 'w2'].map((id) => add(id)));
  await lose(name, 4);
  await Promise.all(['w1', 'w2'].map((id) => add(id)));
  const { handled } = await react({ name, events: ['added'] });
  await until('all are handled', () => handled.length === 8);
  const of = (id: string) => handled.filter((event) => event.startsWith(id));
  expect(of('w1')).toEqual([2, 3, 4, 5].map((version) => `w1 ${version}`));
  expect(of('w2')).toEqual([2, 3, 4, 5].map((version) => `w2 ${version}`));
});

test('younger events leave room for those that a dead process had in its hands', async () => {
  const name = 'crowded';
  await (await react({ name, events: ['added'] })).stop();
  await Promise.all(['c1', 'crowd'].map(open));
  for (let i = 0; i < 3; i++) await add('c1');
  await lose(name, 3);
  await add('c1');
  for (let i = 0; i < 100; i++) await add('crowd');
  const { handled } = await react({ name, events: ['added'] });
  await until('all are handled', () => handled.length === 104);
  expect(handled.filter((event) => event.startsWith('c1'))).toEqual([2, 3, 4, 5].map((version) => `c1 ${version}`));
});

test('nothing is handled while nobody says what a dead process had in its hands', async () => {
  const name = 'unanswered';
  await (await react({ name, events: ['added'] })).stop();
  await open('u1');
  for (let i = 0; i < 3; i++) await add('u1');
  await lose(name, 3);
  await add('u1');
  const { handled, reaction } = await react({ name, events: ['added'] });
  await until('it is served', () => reaction.stats().active);
  await server.kill('SIGSTOP');
  await sleep(6_000);
  await server.kill('SIGCONT');
  await until('all are handled', () => new Set(handled).size === 4);
  expect([...new Set(handled)]).toEqual([2, 3, 4, 5].map((version) => `u1 ${version}`));
});

test('what a former process ends late is not taken for what it still has in its hands', async () => {
  const options = { name: 'displaced', events: ['added'] };
  let isDisplaced = false;
  const slow = (entityId: string): number => (isDisplaced ? 0 : entityId === 'short' ? 2_000 : 6_000);
  const both = [await react(options, slow), await react(options, slow)];
  await Promise.all(['short', 'long'].map(open));
  await add('short');
  await until('one has its turn', () => both.some(({ reaction }) => reaction.stats().active));
  const next = both.find(({ reaction }) => !reaction.stats().active);
  await sleep(1_000);
  for (let i = 0; i < 2; i++) await add('long');
  isDisplaced = true;
  await until('the other one has its turn', async () => {
    await wire.request(`$JS.API.CONSUMER.UNPIN.${STREAM}.react_displaced`, '{"group":"executor"}');
    await sleep(300);
    return next?.reaction.stats().active === true;
  });
  await until('all are handled', () => next?.handled.includes('long 3') === true);
  expect(next?.handled.filter((event) => event.startsWith('long'))).toEqual(['long 2', 'long 3']);
});

test('a process with fewer events takes none away, and handles none that it does not know', async () => {
  const name = 'released';
  const newer = await react({ name, events: ['opened', 'added'] });
  await open('r1');
  await until('it is handled', () => newer.handled.length === 1);
  const older = await react({ name, events: ['opened'] });
  const { config } = await consumerOf(name);
  expect(new Set(config.filter_subjects)).toEqual(new Set(['ent.tally.*.*.opened', 'ent.tally.*.*.added']));
  await newer.stop();
  await add('r1');
  await open('r2');
  await until('it says so', () => older.faults.length > 0);
  expect(older.faults[0]).toContain('"added"');
  expect(older.reaction.stats()).toMatchObject({ active: false, done: 0 });
  const again = await react({ name, events: ['opened', 'added'] });
  await until('the newer one goes on', () => again.handled.length === 2);
  expect(new Set(again.handled)).toEqual(new Set(['r1 2', 'r2 1']));
  await until('all is acknowledged', async () => (await consumerOf(name)).num_ack_pending === 0);
});

test('events are taken away only by who says so', async () => {
  const name = 'narrowed';
  await (await react({ name, events: ['opened', 'added'] })).stop();
  const narrow = await react({ name, events: ['opened'], exactEvents: true });
  await open('n1');
  await add('n1');
  await open('n2');
  await until('both are handled', () => narrow.handled.length === 2);
  expect(narrow.handled).toEqual(['n1 1', 'n2 1']);
  expect(narrow.faults).toEqual([]);
});

test('an expiry is handled only if it counts', async () => {
  const name = 'expiries';
  const { handled, reaction, faults } = await react({ name });
  await open('leased');
  await add('leased');
  await add('leased');
  const expire = (version: number) =>
    wire.request(
      'ent.tally.leased.x.lapsed',
      JSON.stringify({ entity_id: 'leased', entity_version: version, state: { n: 0, note: '' } }),
      {
        headers: rawHeaders([['Mesh-Command-Id', `of ${version}`]]),
        timeout: 5_000,
      },
    );
  // Late, behind a commit that moved the lease.
  await expire(2);
  await expire(3);
  await open('behind');
  await until(
    () => `all are handled: ${handled.join()} ${JSON.stringify(reaction.stats())} ${faults.join()}`,
    () => handled.includes('behind 1') && reaction.stats().inFlight === 0,
    10_000,
  );
  const of = handled.filter((event) => event.startsWith('leased'));
  expect(of).toEqual(['leased 1', 'leased 2', 'leased 3', 'leased 3']);
});

test('a consumer that was deleted is not made again: it is said, and nothing is skipped', async () => {
  const name = 'deleted';
  const { faults, handled } = await react({ name, events: ['opened'] });
  await open('d1');
  await until('it is handled', () => handled.length === 1);
  await wire.request(`$JS.API.CONSUMER.DELETE.${STREAM}.react_${name}`);
  await until('it is said', () => faults.some((fault) => fault.includes('gone')));
  const info = await wire.request(`$JS.API.CONSUMER.INFO.${STREAM}.react_${name}`);
  expect(info.json<{ error?: { err_code: number } }>().error?.err_code).toBe(10014);
});
