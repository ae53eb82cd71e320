// Hunts: events that a follower misses: those of before it came, those of while it was away, those whose handler failed;
// and live events that are not what was asked for.
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { defineContract } from '@meshforge/protocol';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers as newHeaders } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import {
  commit,
  connectMesh,
  defineAgent,
  startAgent,
  type ChangeEvent,
  type Mesh,
  type MeshEvent,
  type RunningAgent,
} from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';
import { tally, tallyContract } from './tally.ts';

type Change = ChangeEvent<{ n: number; note: string }>;

let server: NatsServer;
let agent: RunningAgent;
let mesh: Mesh;

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

async function open(entityId: string): Promise<void> {
  await mesh.request(tallyContract, 'open', { entityId });
}

async function add(entityId: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await mesh.request(tallyContract, 'add', { entityId, data: { by: 1 } });
}

/** What of one entity came to a handler, by version. */
function versionsOf(entityId: string, events: readonly Change[]): number[] {
  return events.filter((event) => event.entityId === entityId).map(({ entityVersion }) => entityVersion);
}

const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

test('a watch shows commits and signals as they happen, in order, with what was committed', async () => {
  const client = endWithTest(await connectMesh({ servers: server.url }));
  const seen: MeshEvent<{ n: number; note: string }>[] = [];
  const watch = client.watch(tallyContract);
  const watching = (async () => {
    for await (const event of watch) {
      seen.push(event);
      if (event.kind === 'change' && event.event === 'closed') break;
    }
  })();
  // The subscription is on its way on a connection of its own.
  await client.get(tallyContract, 'watched');

  const trace = { correlationId: 'watched-1' };
  const opened = await mesh.request(tallyContract, 'open', { entityId: 'watched', data: { note: 'hi' }, ...trace });
  await mesh.request(tallyContract, 'add', { entityId: 'watched', data: { by: 3 }, expectedVersion: 9 });
  await mesh.request(tallyContract, 'add', { entityId: 'watched', data: { by: 3 }, expectedVersion: 1 });
  await mesh.request(tallyContract, 'open', { entityId: 'watched' });
  await mesh.request(tallyContract, 'close', { entityId: 'watched' });
  await watching;

  expect(seen).toMatchObject([
    {
      kind: 'change',
      event: 'opened',
      entityId: 'watched',
      entityVersion: 1,
      state: { n: 0, note: 'hi' },
      commandId: opened.commandId,
      correlationId: 'watched-1',
    },
    { kind: 'signal', event: 'conflict', payload: { expected_version: 9, current_version: 1 } },
    { kind: 'change', event: 'added', entityVersion: 2, state: { n: 3, note: 'hi' }, data: { by: 3 } },
    { kind: 'signal', event: 'rejected', payload: { code: 'already_exists' } },
    { kind: 'change', event: 'closed', entityVersion: 3, state: null },
  ]);
  const sequences = seen.flatMap((event) => (event.kind === 'change' ? [event.sequence] : []));
  expect(sequences).toEqual(upTo((sequences[0] as number) + 2, sequences[0]));
});

test('a watch of named events shows no others, and ends when it is stopped', async () => {
  const client = endWithTest(await connectMesh({ servers: server.url }));
  const watch = client.watch(tallyContract, { events: ['closed', 'conflict'] });
  const seen: string[] = [];
  const watching = (async () => {
    for await (const event of watch) seen.push(event.event);
  })();
  await client.get(tallyContract, 'named');
  await open('named');
  await add('named', 2);
  await mesh.request(tallyContract, 'add', { entityId: 'named', data: { by: 1 }, expectedVersion: 9 });
  await mesh.request(tallyContract, 'close', { entityId: 'named' });
  await until('the last event is seen', () => seen.includes('closed'));
  watch.stop();
  await watching;
  expect(seen).toEqual(['conflict', 'closed']);
});

test('a durable subscription gets every event, in order, also those of before it was made', async () => {
  await open('early');
  await add('early', 99);
  const events: Change[] = [];
  const subscription = endWithTest(
    await mesh.subscribe(tallyContract, { durable: 'all' }, (event) => void events.push(event)),
  );
  await add('early', 50);
  await until('all events came', () => versionsOf('early', events).length >= 150);
  await subscription.stop();
  expect(versionsOf('early', events)).toEqual(upTo(150));
  // The whole log, that of the tests before this one included.
  const first = (events[0] as Change).sequence;
  expect(events.map(({ sequence }) => sequence)).toEqual(upTo(first + events.length - 1, first));
  expect(events.at(-1)).toMatchObject({ kind: 'change', event: 'added', state: { n: 149 }, data: { by: 1 } });
});

test('a durable subscription resumes where it was, whatever it is told to begin with', async () => {
  await open('resumed');
  const events: Change[] = [];
  const options = { durable: 'resumes', ackWaitMs: 1_000 };
  const follow = (from?: 'beginning' | 'now' | Date) =>
    mesh.subscribe(tallyContract, { ...options, ...(from && { from }) }, (event) => void events.push(event));

  let subscription = await follow();
  await add('resumed', 19);
  await until('the first twenty came', () => versionsOf('resumed', events).length >= 20);
  for (const from of [undefined, 'now', 'beginning', new Date()] as const) {
    await subscription.stop();
    // Nobody listens while these happen.
    const before = versionsOf('resumed', events).length;
    await add('resumed', 10);
    expect(versionsOf('resumed', events)).toHaveLength(before);
    subscription = await follow(from);
    await until('those of meanwhile came', () => versionsOf('resumed', events).length >= before + 10);
  }
  await subscription.stop();
  expect(versionsOf('resumed', events)).toEqual(upTo(60));
});

test('a durable subscription can be told to follow other events from where it is', async () => {
  await open('refiltered');
  const events: Change[] = [];
  const follow = (names: string[]) =>
    mesh.subscribe(tallyContract, { durable: 'refilters', events: names }, (event) => void events.push(event));
  const first = await follow(['opened']);
  await until('it was opened', () => versionsOf('refiltered', events).length > 0);
  await first.stop();
  await add('refiltered', 3);
  await mesh.request(tallyContract, 'close', { entityId: 'refiltered' });
  const second = endWithTest(await follow(['opened', 'closed']));
  await until('it was closed', () => versionsOf('refiltered', events).length > 1);
  await second.stop();
  expect(versionsOf('refiltered', events)).toEqual([1, 5]);
});

test('a subscription that is stopped finishes the event at hand and no other; its successor gets the rest', async () => {
  await open('halved');
  await add('halved', 99);
  // A delivery that was on its way to the first one has to run out before it comes again.
  const options = { durable: 'halves', ackWaitMs: 2_000 };
  const first: Change[] = [];
  const subscription = await mesh.subscribe(tallyContract, options, async (event) => {
    await mesh.get(tallyContract, 'halved');
    first.push(event);
  });
  await until('it is in the middle', () => versionsOf('halved', first).length >= 10);
  const before = first.length;
  await subscription.stop();
  expect(first.length - before).toBeLessThanOrEqual(1);
  const second: Change[] = [];
  const successor = await mesh.subscribe(tallyContract, options, (event) => void second.push(event));
  const handled = (): Set<number> => new Set(versionsOf('halved', [...first, ...second]));
  await until('every event was handled', () => handled().size === 100);
  await successor.stop();
  expect(first.length - before).toBeLessThanOrEqual(1);
});

test('events that wait behind slow handlers are not handled twice, however long they wait', async () => {
  await open('slow');
  await add('slow', 49);
  const ackWaitMs = 3_000;
  const events: Change[] = [];
  const subscription = endWithTest(
    await mesh.subscribe(tallyContract, { durable: 'slow', ackWaitMs }, async (event) => {
      if (event.entityId !== 'slow') return;
      // Each is quick enough, but the last ones wait for twice as long as one may take.
      await sleep((2 * ackWaitMs) / 50);
      events.push(event);
    }),
  );
  await until('the last was handled', () => versionsOf('slow', events).includes(50));
  await subscription.stop();
  expect(versionsOf('slow', events)).toEqual(upTo(50));
});

test('a handler that fails gets the event again, until it succeeds; others are not held up', async () => {
  await open('failing');
  await add('failing', 9);
  const tries: number[] = [];
  const done: Change[] = [];
  const errors: unknown[] = [];
  const subscription = endWithTest(
    await mesh.subscribe(tallyContract, { durable: 'fails', onError: (error) => errors.push(error) }, (event) => {
      if (event.entityId !== 'failing') return;
      if (event.entityVersion === 5) {
        tries.push(event.entityVersion);
        if (tries.length < 3) throw new Error(`try ${tries.length} fails`);
      }
      done.push(event);
    }),
  );
  await until('all were handled', () => done.length >= 10);
  await subscription.stop();
  expect(tries).toEqual([5, 5, 5]);
  expect(errors.map((error) => (error as Error).message)).toEqual(['try 1 fails', 'try 2 fails']);
  expect(versionsOf('failing', done).toSorted((a, b) => a - b)).toEqual(upTo(10));
  // It came behind younger ones.
  expect(versionsOf('failing', done).at(-1)).toBe(5);
});

test('two processes that share a durable subscription share its events; each comes to one of them', async () => {
  await open('split');
  await add('split', 99);
  const clients = [
    endWithTest(await connectMesh({ servers: server.url })),
    endWithTest(await connectMesh({ servers: server.url })),
  ];
  const events: Change[] = [];
  const subscriptions = await Promise.all(
    clients.map((client) =>
      client.subscribe(tallyContract, { durable: 'shared', events: ['added'] }, (event) => void events.push(event)),
    ),
  );
  await add('split', 100);
  await until('all were handled', () => versionsOf('split', events).length >= 199);
  await Promise.all(subscriptions.map((subscription) => subscription.stop()));
  expect(new Set(events.map(({ event }) => event))).toEqual(new Set(['added']));
  expect(versionsOf('split', events).toSorted((a, b) => a - b)).toEqual(upTo(200, 2));
});

test('a subscription from now on gets nothing of before', async () => {
  await open('new');
  await add('new', 5);
  const events: Change[] = [];
  const subscription = endWithTest(
    await mesh.subscribe(tallyContract, { durable: 'now', from: 'now' }, (event) => void events.push(event)),
  );
  await add('new', 5);
  await until('the new ones came', () => events.length >= 5);
  await subscription.stop();
  expect(events.map(({ entityId, entityVersion }) => [entityId, entityVersion])).toEqual(
    upTo(11, 7).map((version) => ['new', version]),
  );
});

test('a durable subscription goes on by itself after the server was killed and restarted', async () => {
  const events: Change[] = [];
  const subscription = endWithTest(
    await mesh.subscribe(
      tallyContract,
      { durable: 'survives', from: 'now', ackWaitMs: 1_000 },
      (event) => void events.push(event),
    ),
  );
  await open('survivor');
  await add('survivor', 20);
  await until('the first came', () => new Set(versionsOf('survivor', events)).size >= 21);
  await server.kill('SIGKILL');
  await server.restart();
  await add('survivor', 20);
  await until('those of after the restart came', () => new Set(versionsOf('survivor', events)).size >= 41, 90_000);
  await subscription.stop();
}, 120_000);

test('a durable subscription hands on the end of a lease only if the lease had not been refreshed', async () => {
  const lampContract = defineContract({
    name: 'lamp',
    description: 'Goes out by itself.',
    state: z.object({ on: z.boolean() }),
    actions: { light: { description: 'Lights it.', data: z.object({ ms: z.int() }), event: 'lit' } },
    expiryEvent: 'burnt',
  });
  const lamp = defineAgent({
    ...lampContract,
    actions: {
      light: {
        ...lampContract.actions.light,
        entity: 'any',
        rule: (_state, { ms }, { now }) => commit({ on: true }, { expiresAt: now + ms }),
      },
    },
    lease: { expiryEvent: 'burnt', events: ['lit'], expire: () => ({ on: false }) },
  });
  endWithTest(await startAgent(lamp, { nats: { servers: server.url } }));
  const ended: string[] = [];
  const subscription = await mesh.subscribe(lampContract, { durable: 'ends', events: ['burnt'] }, (event) => {
    ended.push(`${event.entityId} ${event.entityVersion}`);
  });
  endWithTest(subscription);
  const light = (entityId: string, ms: number) => mesh.request(lampContract, 'light', { entityId, data: { ms } });
  const connection = endWithTest(await openConnection(server.url));
  const { streams } = await jetstreamManager(connection);
  await light('refreshed', 60_000);
  const first = await streams.getMessage('ENTITIES_lamp', { last_by_subj: 'ent.lamp.refreshed.1.lit' });
  await light('refreshed', 60_000);
  // What the server writes when the first schedule was on its way while the lease was refreshed: the first commit once more.
  const late = newHeaders();
  for (const name of first?.header.keys() ?? []) {
    if (name.startsWith('Mesh-')) late.set(name, first?.header.get(name) ?? '');
  }
  late.set('Nats-Scheduler', 'ent.lamp.refreshed.1.lit');
  late.set('Nats-Schedule-Next', 'purge');
  await connection.request('ent.lamp.refreshed.x.burnt', first?.data, { headers: late, timeout: 10_000 });
  await light('burns out', 500);
  await until('the other has ended', () => ended.length > 0);
  expect(ended).toEqual(['burns out 1']);
  expect(await mesh.get(lampContract, 'refreshed')).toMatchObject({ entity_version: 2, state: { on: true } });
});
