/**
 * Hunts waiters that depend on one replica: copies of a command at several of them, and replicas that stop and come back. Each
 * replica is spoken to by its own subject.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectMesh, type RunningAgent } from '@meshforge/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { answerFlaws } from './support/answer-history.ts';
import { flawsOf } from './support/lease-history.ts';
import { startReplica } from './support/lock-manager.ts';
import {
  acquire,
  followEvents,
  lease,
  release,
  success,
  viewLock,
  type Announced,
  type Connection,
} from './support/locks.ts';
import { cancel, expectAnsweredOnce, queued, replicaIds, startWaiting, tellingOf } from './support/waiting.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: NatsServer;
let nats: Connection;
let announced: Announced;
let replicas: RunningAgent[];
let ids: string[];

beforeAll(async () => {
  server = await startNatsServer();
  nats = await openConnection(server.url);
  announced = await followEvents(nats);
});

/** Two replicas, each with its id. */
beforeEach(async () => {
  const one = await startReplica(server.url);
  const [first = ''] = await replicaIds(nats);
  replicas = [one, await startReplica(server.url)];
  ids = [first, (await replicaIds(nats)).find((id) => id !== first) ?? ''];
});

afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()));
});

afterAll(async () => {
  await nats.close();
  await server.stop();
});

const eventsOf = (resource: string, event: string): number =>
  announced.changes(resource).filter((change) => change.event === event).length;

test('copies of a command at two replicas are one wait: one place, one grant, and each copy is told of it', async () => {
  lease(await acquire(nats, 'copies', 'holder', { ttl: 60_000 }));
  const commandId = 'copies-ann';
  const copies = ids.map((replica) => startWaiting(nats, 'copies', 'ann', { commandId, replica }));
  await queued(nats, 'copies', 1);
  // The clocks of two replicas differ by some milliseconds, and by more on a busy machine.
  await sleep(1_000);
  const bob = startWaiting(nats, 'copies', 'bob', { replica: ids[1] ?? '' });
  await queued(nats, 'copies', 2);
  success(await release(nats, 'copies', 'holder'), 'released');
  const [first, second] = (await Promise.all(copies.map(({ answer }) => answer))).map(lease);
  expect(second).toEqual(first);
  success(await release(nats, 'copies', 'ann'), 'released');
  lease(await bob.answer);
  expect(eventsOf('copies', 'queued')).toBe(2);
  expect(flawsOf(announced.changes('copies'))).toEqual([]);
});

test('what ends the wait of one copy ends that of the other: its time, a cancel, another command', async () => {
  const resources = ['ends-time', 'ends-cancel', 'ends-anew'];
  for (const resource of resources) lease(await acquire(nats, resource, 'holder', { ttl: 60_000 }));
  const waitMs = (resource: string): number => (resource === 'ends-time' ? 800 : 30_000);
  const copies = resources.flatMap((resource) =>
    ids.map((replica) =>
      startWaiting(nats, resource, 'ann', { commandId: `${resource}-1`, waitMs: waitMs(resource), replica }),
    ),
  );
  for (const resource of resources.slice(1)) await queued(nats, resource, 1);
  await cancel(nats, 'ends-cancel', 'ann');
  const anew = startWaiting(nats, 'ends-anew', 'ann', { replica: ids[0] ?? '' });
  const told = await Promise.all(copies.map(async ({ answer }) => tellingOf(await answer)));
  expect(told).toEqual(['held', 'held', 'cancelled', 'cancelled', 'cancelled', 'cancelled']);
  success(await release(nats, 'ends-anew', 'holder'), 'released');
  lease(await anew.answer);
  await sleep(300);
  expectAnsweredOnce([...copies, anew]);
  for (const resource of resources) {
    expect(answerFlaws(copies, announced.changes(resource), { once: true })).toEqual([]);
    expect((await viewLock(nats, resource)).waiters).toBe(0);
  }
});

test('a replica that stops sends its waiters back, refuses nobody, and their places stay', async () => {
  const rejections: string[] = [];
  nats.subscribe('evt.lock.rejected', { callback: (_error, message) => void rejections.push(message.string()) });
  lease(await acquire(nats, 'stops', 'holder', { ttl: 60_000 }));
  const ann = startWaiting(nats, 'stops', 'ann', { commandId: 'stops-ann', replica: ids[0] ?? '' });
  await queued(nats, 'stops', 1);
  await sleep(1_000);
  const bob = startWaiting(nats, 'stops', 'bob', { replica: ids[1] ?? '' });
  await queued(nats, 'stops', 2);
  await replicas[0]?.stop();
  expect(tellingOf(await ann.answer)).toBe('unavailable');
  const again = startWaiting(nats, 'stops', 'ann', { commandId: 'stops-ann' });
  await nats.flush();
  success(await release(nats, 'stops', 'holder'), 'released');
  success(await release(nats, 'stops', lease(await again.answer).state.owner_id as string), 'released');
  expect(lease(await bob.answer).state.owner_id).toBe('bob');
  expect(eventsOf('stops', 'queued')).toBe(2);
  expect(rejections).toEqual([]);
  expect(flawsOf(announced.changes('stops'))).toEqual([]);
});

test('clients that wait with mesh.acquire get their locks though all replicas stop and others start', async () => {
  const mesh = endWithTest(await connectMesh({ servers: server.url }));
  lease(await acquire(nats, 'restart', 'holder', { ttl: 60_000 }));
  const names = ['w0', 'w1', 'w2'];
  const served: string[] = [];
  const work = [];
  for (const [i, ownerId] of names.entries()) {
    work.push(
      mesh.lock('restart', { waitMs: 60_000, ownerId }, () => {
        served.push(ownerId);
      }),
    );
    await queued(nats, 'restart', i + 1);
  }
  await Promise.all(replicas.map((replica) => replica.stop()));
  replicas = [await startReplica(server.url), await startReplica(server.url)];
  // All have come back when each replica that is asked knows their names.
  await until('all wait again', async () => {
    const commands = replicas.map((replica) => replica.stats().actions['acquire']?.outcomes);
    return commands.reduce((sum, outcomes) => sum + (outcomes?.deferred ?? 0), 0) >= names.length;
  });
  success(await release(nats, 'restart', 'holder'), 'released');
  await Promise.all(work);
  expect([...served].sort()).toEqual(names);
  expect(eventsOf('restart', 'queued')).toBe(3);
  // In order, but for one who was passed over while the lock was free for two seconds.
  expect(flawsOf(announced.changes('restart'))).toEqual([]);
});
