/** Hunts costs that grow with the queue: a grant must cost as many messages before 500 waiters as before 50. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import { acquire, followEvents, lease, release, success, type Connection } from './support/locks.ts';
import { expectAnsweredOnce, queued, startWaiting } from './support/waiting.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

let mesh: Mesh;
let nats: Connection;

beforeAll(async () => {
  mesh = await startMesh(3);
  nats = mesh.connection;
});

afterAll(() => mesh.stop());

/** Messages that the server has taken in and given out. */
async function messages(): Promise<number> {
  const response = await fetch(`${mesh.server.monitorUrl}/varz`);
  const { in_msgs: taken, out_msgs: given } = (await response.json()) as { in_msgs: number; out_msgs: number };
  return taken + given;
}

interface Served {
  perGrant: number;
  rate: number;
  displaced: number;
}

async function serve(resource: string, count: number): Promise<Served> {
  lease(await acquire(nats, resource, 'holder', { ttl: 60_000 }));
  const waiters = [];
  for (let i = 0; i < count; i++) {
    waiters.push(startWaiting(nats, resource, `w${i}`, { waitMs: 60_000 }));
    if (i % 5 === 4) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await queued(nats, resource, count);
  const order: number[] = [];
  const before = await messages();
  const began = performance.now();
  success(await release(nats, resource, 'holder'), 'released');
  await Promise.all(
    waiters.map(async ({ answer, owner }, index) => {
      lease(await answer);
      order.push(index);
      success(await release(nats, resource, owner), 'released');
    }),
  );
  const tookMs = performance.now() - began;
  const perGrant = ((await messages()) - before) / count;
  await new Promise((resolve) => setTimeout(resolve, 400));
  expectAnsweredOnce(waiters);
  return {
    perGrant,
    rate: (count / tookMs) * 1_000,
    displaced: Math.max(...order.map((index, at) => Math.abs(index - at))),
  };
}

test('500 waiters are all served, in order, at a constant number of messages per grant', async () => {
  const few = await serve('few', 50);
  const many = await serve('many', 500);
  for (const [name, { perGrant, rate, displaced }] of Object.entries({ few, many })) {
    console.log(
      `${name}: ${perGrant.toFixed(1)} messages per grant, ${rate.toFixed(0)} handovers/s, at most ${displaced} places off`,
    );
  }
  expect(many.perGrant / few.perGrant).toBeLessThan(1.5);
  // Five come at once, to three replicas that have to agree on the order.
  expect(many.displaced).toBeLessThan(25);
});

test('the order of the log is that of the queue, for 150 waiters on each of two locks at once', async () => {
  const announced = await followEvents(nats);
  await Promise.all([serve('left', 150), serve('right', 150)]);
  expect(flawsOf(announced.changes())).toEqual([]);
});
