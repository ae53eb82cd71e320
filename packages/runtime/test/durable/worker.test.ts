/**
 * Hunts messages of one entity that overtake each other, that are lost, or that nobody works off: over takeovers, lost
 * deliveries, two workers at once, and poison.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Verdict } from '../../src/durable/worker-options.ts';
import { until } from '../support/until.ts';
import { Queue } from './queue.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let server: NatsServer;

beforeAll(async () => {
  server = await startNatsServer();
});

afterAll(async () => {
  await server?.stop();
});

const entities = Array.from({ length: 20 }, (_, i) => `e${i}`);
const storeAll = (queue: Queue, count: number) => Promise.all(entities.map((entity) => queue.store(entity, count)));
const isEmpty = async (queue: Queue): Promise<void> => {
  await until(
    () => `the queue is empty: ${JSON.stringify(queue.state)}`,
    async () => queue.isDone && (await queue.left()) === 0,
    30_000,
  );
  expect(queue.disorder).toEqual([]);
};

test('messages of each entity are handled in order, once', async () => {
  const queue = await Queue.open(server);
  await storeAll(queue, 10);
  await queue.work();
  await storeAll(queue, 10);
  await isEmpty(queue);
  expect(queue.faults).toEqual([]);
});

test('a worker that takes over handles first what the dead one had in its hands', async () => {
  const queue = await Queue.open(server);
  await storeAll(queue, 10);
  expect(await queue.lose(100)).toBe(100);
  await storeAll(queue, 5);
  await queue.work();
  await isEmpty(queue);
});

test('a takeover after a stop waits for no timer, also with messages in hand', async () => {
  const queue = await Queue.open(server);
  const gaps: number[] = [];
  let last = 0;
  // Each worker handles a few, and stops with the rest in its hands.
  const stops: Promise<void>[] = [];
  const work = async (): Promise<void> => {
    let handled = 0;
    let stop: (() => Promise<void>) | undefined;
    const { worker } = await queue.work({
      attempt: async (message): Promise<Verdict> => {
        if (handled++ === 0 && last > 0) gaps.push(performance.now() - last);
        await sleep(1);
        queue.note(message);
        if (handled >= 20 && stop !== undefined) {
          last = performance.now();
          stops.push(stop());
          stop = undefined;
        }
        return { kind: 'done' };
      },
    });
    stop = () => worker.stop();
  };
  await storeAll(queue, 50);
  for (let i = 0; i < 10; i++) await work();
  await until(
    () => `enough of them have worked: ${gaps.join()} ${JSON.stringify(queue.state)}`,
    () => gaps.length >= 6,
    30_000,
  );
  await queue.work();
  await isEmpty(queue);
  await Promise.all(stops);
  // The machine may be slow at times; a timer would be slow each time.
  expect(Math.min(...gaps)).toBeLessThan(100);
});

test('a delivery that is lost on its way is not overtaken', async () => {
  const queue = await Queue.open(server);
  await queue.work();
  await queue.store('a', 3);
  await until('they are done', () => queue.isDone);
  for (let i = 0; i < 20; i++) {
    const pin = (await queue.consumer()).priority_groups?.[0]?.pinned_client_id ?? '';
    // Of several pulls that stand, the server serves each in turn.
    const losing = queue.lose(1, pin);
    await queue.store('a', 4);
    await losing;
  }
  await isEmpty(queue);
});

test('two workers that take each other’s place all the time do no harm', async () => {
  const queue = await Queue.open(server);
  await queue.work();
  await queue.work();
  const over = new AbortController();
  const unpinning = (async () => {
    while (!over.signal.aborted) {
      await queue.unpin();
      await sleep(5);
    }
  })();
  for (let i = 0; i < 40; i++) await storeAll(queue, 2);
  // Also while that goes on.
  await until('everything is done', () => queue.isDone);
  over.abort();
  await unpinning;
  await isEmpty(queue);
});

test('a faulty message holds up its own entity and no other, however much is behind it', async () => {
  const queue = await Queue.open(server);
  let isHopeless = false;
  const { worker } = await queue.work({
    retry: { maxTries: 4, firstPauseMs: 20, maxAgeMs: 86_400_000, maxPauseMs: 100 },
    attempt: (message): Promise<Verdict> => {
      if (message.data.length > 0) {
        return Promise.resolve({ kind: 'fault', code: 'x', reason: 'x', nature: isHopeless ? 'hopeless' : 'outage' });
      }
      queue.note(message);
      return Promise.resolve({ kind: 'done' });
    },
  });
  await queue.store('sick', 1, 'poison');
  const sick = queue.store('sick', 500);
  await Promise.all([storeAll(queue, 20), sick]);
  await until('all others are done', () => entities.every((entity) => queue.done.get(entity)?.length === 20));
  expect(queue.done.get('sick')).toBeUndefined();
  expect(worker.stats()).toMatchObject({ active: true, dead: 0 });
  expect(worker.stats().inFlight).toBeLessThan(100);
  isHopeless = true;
  await isEmpty(queue);
  expect(queue.dead).toHaveLength(1);
  expect(worker.stats()).toMatchObject({ dead: 1, inFlight: 0, retrying: 0 });
});

test('what a worker that stops has in its hands is handled at once by the next one', async () => {
  const waits: number[] = [];
  for (let i = 0; i < 4; i++) {
    const queue = await Queue.open(server);
    const { worker } = await queue.work({
      attempt: (): Promise<Verdict> => Promise.resolve({ kind: 'fault', code: 'x', reason: 'x', nature: 'outage' }),
    });
    await storeAll(queue, 3);
    await until('it has begun', () => worker.stats().inFlight === 60);
    const { worker: other } = await queue.work();
    const stoppedAt = performance.now();
    await worker.stop();
    await isEmpty(queue);
    waits.push(performance.now() - stoppedAt);
    expect(other.stats()).toMatchObject({ active: true });
    expect(worker.stats()).toMatchObject({ active: false, inFlight: 0, retrying: 0 });
  }
  // The machine may be slow at times; the server delivers again what nobody puts back, after one and a half seconds each time.
  expect(Math.min(...waits)).toBeLessThan(1_000);
});

test('more than a worker takes in hand is worked off', async () => {
  const queue = await Queue.open(server);
  await Promise.all(Array.from({ length: 600 }, (_, i) => queue.store(`m${i}`, 2)));
  const { worker } = await queue.work({
    attempt: async (message): Promise<Verdict> => {
      await sleep(2);
      queue.note(message);
      return { kind: 'done' };
    },
  });
  const highest: number[] = [];
  await until('all are done', () => {
    highest.push(worker.stats().inFlight);
    return queue.isDone;
  });
  expect(Math.max(...highest)).toBeLessThanOrEqual(64);
  await isEmpty(queue);
});

test('a worker whose hands are full keeps its place', async () => {
  const queue = await Queue.open(server);
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const { worker } = await queue.work({
    attempt: async (message): Promise<Verdict> => {
      await released;
      queue.note(message);
      return { kind: 'done' };
    },
  });
  await Promise.all(Array.from({ length: 100 }, (_, i) => queue.store(`f${i}`)));
  const { worker: other } = await queue.work();
  // Longer than the server waits for a worker that it does not hear of.
  await sleep(2_500);
  expect(other.stats()).toMatchObject({ active: false, done: 0 });
  expect(worker.stats()).toMatchObject({ active: true, inFlight: 64 });
  release();
  await isEmpty(queue);
});

test('workers that die every second make progress, each of them, whatever is stored', async () => {
  const queue = await Queue.open(server);
  await Promise.all(Array.from({ length: 300 }, (_, i) => queue.store(`d${i}`, 10)));
  const handled: number[] = [];
  while (!queue.isDone && handled.length < 60) {
    let count = 0;
    const { connection } = await queue.work({
      attempt: async (message): Promise<Verdict> => {
        await sleep(60);
        if (queue.note(message) === 'new') count++;
        return { kind: 'done' };
      },
    });
    await sleep(1_000);
    // Dies with what it has in its hands.
    await connection.close();
    handled.push(count);
  }
  expect(queue.isDone, `handled ${handled.join()}`).toBe(true);
  expect(queue.disorder).toEqual([]);
});
