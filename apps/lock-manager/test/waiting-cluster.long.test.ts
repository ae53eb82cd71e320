/** Hunts what three servers do to those who wait: followers that lag, a leader that is killed, a stream that nobody leads. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, type NatsCluster, type NatsServer } from '@meshforge/nats-server';
import type { RunningAgent } from '@meshforge/runtime';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { answerFlaws } from './support/answer-history.ts';
import { flawsOf } from './support/lease-history.ts';
import { startReplica } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  followEvents,
  lease,
  LOCK_STREAM,
  release,
  success,
  type Connection,
} from './support/locks.ts';
import { takePulse } from './support/pulse.ts';
import {
  cancel,
  expectAnsweredOnce,
  orderOf,
  queued,
  startWaiting,
  tellingOf,
  type Waiter,
} from './support/waiting.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let cluster: NatsCluster;
let replicas: RunningAgent[];
let clients: Connection[];
let nats: Connection;

beforeAll(async () => {
  cluster = await startNatsCluster();
  replicas = [];
  for (const { url } of cluster.nodes) replicas.push(await startReplica(url, { streamReplicas: 3 }));
  clients = await Promise.all(cluster.nodes.map(({ url }) => openConnection(url)));
  nats = clients[0] as Connection;
  await cluster.ready();
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(replicas.map((replica) => replica.stop()));
  await cluster.stop();
});

async function arrive(resource: string, count: number, waitMs = 60_000): Promise<Waiter[]> {
  const waiters: Waiter[] = [];
  for (let i = 0; i < count; i++) {
    waiters.push(startWaiting(clients[i % 3] as Connection, resource, `w${i}`, { waitMs }));
    await sleep(25);
  }
  return waiters;
}

async function serveAll(resource: string, waiters: readonly Waiter[], by: Connection = nats): Promise<string[]> {
  const served: string[] = [];
  await Promise.all(
    waiters.map(async ({ owner, answer }) => {
      lease(await answer);
      served.push(owner);
      await release(by, resource, owner);
    }),
  );
  return served;
}

test('owners at three servers are served in the order in which they came', async () => {
  const announced = await followEvents(nats);
  lease(await acquire(nats, 'order', 'holder', { ttl: 60_000 }));
  const waiters = await arrive('order', 30);
  await queued(nats, 'order', 30);
  success(await release(nats, 'order', 'holder'), 'released');
  expect(await serveAll('order', waiters)).toEqual(orderOf(announced.changes('order')));
  await sleep(500);
  expectAnsweredOnce(waiters);
  expect(flawsOf(announced.changes('order'))).toEqual([]);
});

test('cancels, ends of waits and releases that meet: one answer each, and nobody is granted what was refused', async () => {
  const announced = await followEvents(nats);
  const pulse = takePulse(nats);
  const waiters: Waiter[] = [];
  const race = async (i: number): Promise<void> => {
    const resource = `race-${i}`;
    lease(await acquire(nats, resource, 'holder'));
    const waiter = startWaiting(clients[i % 3] as Connection, resource, 'ann', { waitMs: i % 2 === 0 ? 400 : 10_000 });
    waiters.push(waiter);
    // A short wait may be over before it is seen.
    if (i % 2 === 1) await queued(nats, resource, 1);
    await sleep(i % 2 === 0 ? Math.max(0, 395 + (i % 12) - (performance.now() - waiter.sentAt)) : 0);
    const releasing = release(nats, resource, 'holder');
    if (i % 2 === 1) {
      await sleep((i % 10) / 2);
      const cancelling = await cancel(clients[(i + 1) % 3] as Connection, resource, 'ann');
      const told = tellingOf(await waiter.answer);
      expect(told).toBe(cancelling.event === 'evt.lock.cancelled' ? 'cancelled' : 'acquired');
    }
    success(await releasing, 'released');
    await waiter.answer;
  };
  for (let i = 0; i < 90; i += 30) await Promise.all(Array.from({ length: 30 }, (_, j) => race(i + j)));
  await sleep(600);
  await pulse.stop();
  expect(answerFlaws(waiters, announced.changes(), { once: true })).toEqual([]);
  expect(flawsOf(announced.changes(), { freeMs: pulse.beyond(1_000) })).toEqual([]);
});

async function leaderOf(stream: string): Promise<NatsServer> {
  return await until(`${stream} has a leader`, async () => {
    const answer = await nats.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 2_000 }).catch(() => null);
    const name = answer?.json<{ cluster?: { leader?: string } }>().cluster?.leader;
    return cluster.nodes.find((node) => node.name === name && node.isAlive);
  });
}

test('waiters keep their places while the leader of the log is killed; those who come meanwhile have an answer', async () => {
  const held = lease(await acquire(nats, 'leader', 'holder', { ttl: 60_000 }));
  const leader = await leaderOf(LOCK_STREAM);
  const [safe] = clients.filter((_, i) => cluster.nodes[i] !== leader) as [Connection];
  const early = Array.from({ length: 5 }, (_, i) =>
    startWaiting(safe, 'leader', `e${i}`, { waitMs: 60_000, repeatMs: 1_000 }),
  );
  await queued(safe, 'leader', 5);
  await leader.kill('SIGKILL');
  const late = Array.from({ length: 10 }, (_, i) =>
    startWaiting(safe, 'leader', `l${i}`, { waitMs: 3_000, repeatMs: 1_000 }),
  );
  const told = await Promise.all(late.map(async ({ answer }) => tellingOf(await answer)));
  expect([...new Set(told)]).toEqual(['held']);
  const commandId = 'leader-release';
  const token = held.state.fencing_token;
  const released = await until('it is released', () =>
    release(safe, 'leader', 'holder', { commandId, token, timeoutMs: 2_000 }).catch(() => undefined),
  );
  success(released, 'released');
  await serveAll('leader', early, safe);
  await leader.restart();
  await cluster.ready();
});

test('a waiter at a server that is gone holds up the next for less than a second', async () => {
  lease(await acquire(nats, 'gone', 'holder', { ttl: 60_000 }));
  const other = await openConnection((cluster.nodes[2] as NatsServer).url);
  for (let i = 0; i < 5; i++) startWaiting(other, 'gone', `dead-${i}`);
  await queued(nats, 'gone', 5);
  const living = startWaiting(nats, 'gone', 'living');
  await queued(nats, 'gone', 6);
  await other.close();
  const pulse = takePulse(nats);
  const before = performance.now();
  success(await release(nats, 'gone', 'holder'), 'released');
  expect(lease(await living.answer).state.owner_id).toBe('living');
  const tookMs = performance.now() - before;
  await pulse.stop();
  expect(tookMs).toBeLessThan(pulse.beyond(1_000));
  expect(denial(await acquire(nats, 'gone', 'bob')).current_owner_id).toBe('living');
});
