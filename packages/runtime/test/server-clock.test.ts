/** Hunts a safety net that ends leases too early: before the server has had its time, or by a clock that is wrong here. */
import { HEADERS } from '@meshforge/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Clock } from '../src/clock.ts';
import { annotate, commit, defineAgent } from '../src/core/agent.ts';
import { EntityReader } from '../src/nats/entity-reader.ts';
import { ServerClock } from '../src/nats/server-clock.ts';
import { EntityStore } from '../src/store/entity-store.ts';
import { digestOf } from '../src/nats/digest.ts';
import { SimulatedStream } from './simulated-stream.ts';

const GRACE = 10_000;
const SERVER_AHEAD_MS = 5_000_000;

/** A clock with hands, and a server whose clock is ahead of it. */
function hands() {
  const time = { monotonic: 100, wall: 1_000_000 };
  const clock: Clock = {
    wall: () => time.wall,
    monotonic: () => time.monotonic,
    sleep: async (ms) => {
      time.monotonic += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
    random: () => 0.5,
  };
  const serverClock = new ServerClock(clock, () =>
    Promise.resolve(new Date(time.monotonic + SERVER_AHEAD_MS).toISOString()),
  );
  return { time, clock, serverClock };
}

test('nothing counts as done before the server has been there for the whole grace', async () => {
  const { time, serverClock } = hands();
  await serverClock.measure();
  expect(serverClock.doneBefore(GRACE)).toBe(Number.NEGATIVE_INFINITY);
  time.monotonic += GRACE - 1;
  expect(serverClock.doneBefore(GRACE)).toBe(Number.NEGATIVE_INFINITY);
  time.monotonic += 1;
  expect(serverClock.doneBefore(GRACE)).toBe(serverClock.now() - GRACE);
});

test('a connection that came back, or another leader, begins the grace anew', async () => {
  const { time, serverClock } = hands();
  await serverClock.measure();
  time.monotonic += 2 * GRACE;
  expect(serverClock.doneBefore(GRACE)).toBe(serverClock.now() - GRACE);
  serverClock.unsettle();
  time.monotonic += GRACE - 1;
  expect(serverClock.doneBefore(GRACE)).toBe(Number.NEGATIVE_INFINITY);
  time.monotonic += 1;
  expect(serverClock.doneBefore(GRACE)).toBe(serverClock.now() - GRACE);
});

test("the wall clock here may jump: the server's time goes on", async () => {
  const { time, serverClock } = hands();
  await serverClock.measure();
  const before = serverClock.now();
  for (const jump of [3_600_000, -7_200_000]) {
    time.wall += jump;
    time.monotonic += 10;
  }
  expect(serverClock.now()).toBe(before + 20);
  await serverClock.measure();
  expect(serverClock.now()).toBe(before + 20);
});

const END = 10_000;
const lamp = defineAgent({
  name: 'lamp',
  state: z.object({ on: z.boolean() }),
  actions: {
    light: {
      data: z.object({}),
      event: 'lit',
      entity: 'any',
      rule: (_state, _data, { now }) => commit({ on: true }, { expiresAt: now + END }),
    },
    note: {
      data: z.object({}),
      event: 'noted',
      entity: 'present',
      rule: () => annotate('waiting'),
    },
    quench: { data: z.object({}), event: 'quenched', entity: 'present', rule: () => ({ on: false }) },
  },
  lease: { expiryEvent: 'burnt', events: ['lit'], expire: () => ({ on: false }) },
});

/** A lamp whose schedule the server has lost. */
async function lostLamp({ measure = (): Promise<void> => Promise.resolve() } = {}) {
  const { clock, time } = hands();
  const stream = new SimulatedStream(() => 'none', false);
  let settledSince = 0;
  const store = new EntityStore({
    agent: lamp,
    reader: new EntityReader(lamp, stream, 1),
    requester: stream,
    clock,
    serverNow: () => time.monotonic,
    lostBefore: () => (time.monotonic - settledSince >= GRACE ? time.monotonic - GRACE : Number.NEGATIVE_INFINITY),
    measureServerTime: measure,
    cache: { entities: 10, bytes: 100_000 },
    maxPayload: () => 1_048_576,
    onDefect: (_action, reason) => expect.unreachable(reason),
  });
  const send = (action: string) => {
    const commandId = `${action}-${stream.messages.length}`;
    const headers = [[HEADERS.commandId, commandId]] as const;
    const digest = digestOf(commandId);
    return store.execute({ entityId: 'e', action, expectedVersion: undefined, data: {}, commandId, digest, headers });
  };
  await send('light');
  const events = (): (string | undefined)[] => stream.messages.map(({ subject }) => subject.split('.').at(-1));
  return { events, send, store, stream, time, unsettle: (): void => void (settledSince = time.monotonic) };
}

test('a lost lease is ended ten seconds after its end, by a command or by the sweep, and not before', async () => {
  for (const kept of [false, true]) {
    const { events, send, store, stream, time } = await lostLamp();
    if (kept) await send('note');
    const before = kept ? ['lit', 'noted'] : ['lit'];
    time.monotonic = END + 100 + GRACE;
    await store.endLostLease('e');
    expect(events()).toEqual(before);
    time.monotonic += 1;
    await store.endLostLease('e');
    expect(events()).toEqual([...before, 'burnt']);
    const expiry = stream.messages.at(-1);
    expect(JSON.parse(new TextDecoder().decode(expiry?.data))).toEqual({
      entity_id: 'e',
      entity_version: 1,
      state: { on: true },
    });
    // If the schedule is there after all, it goes with it.
    expect(expiry?.headers.get('Nats-Schedule-Next')).toBe('purge');
    expect(expiry?.headers.get('Nats-Scheduler')).toBe('ent.lamp.e.lit');
    await store.endLostLease('e');
    expect(events()).toEqual([...before, 'burnt']);
    expect(await send('quench')).toMatchObject({ kind: 'committed' });
    expect(events().at(-1)).toBe('quenched');
  }
});

test('while the server has not been back for ten seconds, nobody ends a lease in its place', async () => {
  const { events, send, store, time, unsettle } = await lostLamp();
  time.monotonic = END + 60_000;
  unsettle();
  await store.endLostLease('e');
  expect(events()).toEqual(['lit']);
  // Commands wait a while, and are then told to come again.
  expect(await send('quench')).toMatchObject({ kind: 'unavailable' });
  expect(events()).toEqual(['lit']);
});

test('a lease is not ended when its end was only the fault of a clock here, nor when the server does not tell its time', async () => {
  const wrong = await lostLamp({
    measure: () => {
      wrong.time.monotonic = 500;
      return Promise.resolve();
    },
  });
  wrong.time.monotonic = END + 60_000;
  await wrong.store.endLostLease('e');
  expect(wrong.events()).toEqual(['lit']);

  const silent = await lostLamp({ measure: () => Promise.reject(new Error('no answer')) });
  silent.time.monotonic = END + 60_000;
  await silent.store.endLostLease('e');
  expect(silent.events()).toEqual(['lit']);
  expect(await silent.send('quench')).toMatchObject({ kind: 'unavailable' });
});

test('two that end the same lost lease end it once', async () => {
  const { events, store, stream, time } = await lostLamp();
  time.monotonic = END + 60_000;
  await Promise.all([store.endLostLease('e'), store.endLostLease('e')]);
  expect(events()).toEqual(['lit', 'burnt']);
  expect(stream.messages).toHaveLength(2);
});
