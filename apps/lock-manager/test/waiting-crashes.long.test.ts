/**
 * Hunts waiters that are forgotten when lock managers or the server die (SIGKILL), or stop (SIGTERM), while they wait: they
 * keep their places, and get the lock or their answer within a few seconds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { heldStream } from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { AgentProcess } from '../../../packages/runtime/test/support/agent-process.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection, pingAgents } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startLockManagerProcess } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  followEvents,
  lease,
  LOCKS,
  release,
  success,
  viewLock,
  type Announced,
  type Connection,
} from './support/locks.ts';
import { queued, startWaiting, tellingOf, type Waiter } from './support/waiting.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** From the moment on that a lock manager and the server are there again, in milliseconds. */
const RECOVERY_MS = 6_000;

let server: NatsServer;
let one: AgentProcess;
let other: AgentProcess;
let nats: Connection;
let announced: Announced;

beforeAll(async () => {
  server = await startNatsServer();
  [one, other] = await Promise.all([startLockManagerProcess(server.url), startLockManagerProcess(server.url)]);
  nats = await openConnection(server.url);
  announced = await followEvents(nats);
});

afterAll(async () => {
  await nats.close();
  await Promise.all([one.stop(), other.stop()]);
  await server.stop();
});

async function fiveWait(resource: string, waitMs = 30_000): Promise<Waiter[]> {
  const waiters: Waiter[] = [];
  for (let i = 0; i < 5; i++) {
    waiters.push(startWaiting(nats, resource, `w${i}`, { waitMs }));
    await sleep(20);
  }
  await queued(nats, resource, 5);
  return waiters;
}

/** Each hands on at once: in which order they were served. */
async function serveAll(resource: string, waiters: readonly Waiter[]): Promise<string[]> {
  const served: string[] = [];
  await Promise.all(
    waiters.map(async ({ owner, answer }) => {
      lease(await answer);
      served.push(owner);
      await release(nats, resource, owner);
    }),
  );
  return served;
}

const inOrder = ['w0', 'w1', 'w2', 'w3', 'w4'];

test('waiters keep their places when all lock managers are killed and come back', async () => {
  lease(await acquire(nats, 'all', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('all');
  await Promise.all([one.kill(), other.kill()]);
  await one.restart();
  expect((await viewLock(nats, 'all')).queue?.map(({ owner_id: owner }) => owner)).toEqual(inOrder);
  success(await release(nats, 'all', 'holder'), 'released');
  expect(await serveAll('all', waiters)).toEqual(inOrder);
});

test('a lease that ends while no lock manager lives is handed on when one comes back', async () => {
  lease(await acquire(nats, 'orphans', 'holder', { ttl: 1_000 }));
  const waiters = await fiveWait('orphans');
  await one.kill();
  await sleep(1_300);
  await one.restart();
  const back = performance.now();
  expect(await serveAll('orphans', waiters)).toEqual(inOrder);
  expect(performance.now() - back).toBeLessThan(RECOVERY_MS);
});

test('when the replica that took them in is killed, another one hands the lock on and ends their waits', async () => {
  lease(await acquire(nats, 'keeper', 'holder', { ttl: 60_000 }));
  lease(await acquire(nats, 'keeper-end', 'holder', { ttl: 60_000 }));
  // One is alone by now.
  const waiters = await fiveWait('keeper');
  const ending = startWaiting(nats, 'keeper-end', 'ann', { waitMs: 4_000 });
  await queued(nats, 'keeper-end', 1);
  await other.restart();
  await one.kill();
  expect(denial(await ending.answer).code).toBe('held');
  expect(ending.answers[0]?.at).toBeGreaterThanOrEqual(ending.sentAt + 4_000);
  expect(ending.answers[0]?.at).toBeLessThan(ending.sentAt + 4_000 + RECOVERY_MS);
  success(await release(nats, 'keeper', 'holder'), 'released');
  expect(await serveAll('keeper', waiters)).toEqual(inOrder);
});

test('waiters keep their places when the lock manager that took them in is told to stop', async () => {
  lease(await acquire(nats, 'stop', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('stop');
  // More come in the very moment.
  const late = Array.from({ length: 20 }, (_, i) => startWaiting(nats, 'stop', `late-${i}`, { waitMs: 5_000 }));
  const before = performance.now();
  expect(await other.terminate()).toEqual({ code: 0, signal: null });
  expect(performance.now() - before).toBeLessThan(5_000);
  await one.restart();
  success(await release(nats, 'stop', 'holder'), 'released');
  expect(await serveAll('stop', waiters)).toEqual(inOrder);
  // Those whom nobody took in any more have no answer at all.
  const takenIn = late.filter(({ owner }) => announced.changes('stop').some(({ data }) => data?.owner_id === owner));
  const told = await Promise.all(takenIn.map(async ({ answer }) => tellingOf(await answer)));
  expect(told.filter((telling) => telling === 'acquired').length).toBeLessThanOrEqual(1);
  expect(told.filter((telling) => telling !== 'acquired' && telling !== 'held')).toEqual([]);
});

test('nobody who was answered is held again when the server is killed and comes back', async () => {
  lease(await acquire(nats, 'stays', 'holder', { ttl: 60_000 }));
  startWaiting(nats, 'stays', 'ann', { waitMs: 60_000 });
  await queued(nats, 'stays', 1);
  lease(await acquire(nats, 'answered', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('answered');
  success(await release(nats, 'answered', 'holder'), 'released');
  await serveAll('answered', waiters);
  const held = async (): Promise<number> => {
    const info = await nats.request(`$JS.API.STREAM.INFO.${heldStream(LOCKS)}`);
    return info.json<{ state: { messages: number } }>().state.messages;
  };
  await vi.waitFor(async () => expect(await held()).toBe(1), 20_000);
  await server.kill('SIGKILL');
  await server.restart();
  await until('a lock manager serves', async () => (await pingAgents(nats, LOCKS)).length > 0);
  expect(await held()).toBe(1);
});

test('waiters keep their places when the server is killed and comes back', async () => {
  lease(await acquire(nats, 'server', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('server');
  await server.kill('SIGKILL');
  await server.restart();
  await until('a lock manager serves', async () => (await pingAgents(nats, LOCKS)).length > 0);
  success(await release(nats, 'server', 'holder'), 'released');
  expect(await serveAll('server', waiters)).toEqual(inOrder);
});

test('the log of all this is as it must be', () => {
  expect(flawsOf(announced.changes().filter(({ payload }) => payload.entity_id !== 'server'))).toEqual([]);
});
