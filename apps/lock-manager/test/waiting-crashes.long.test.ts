/**
 * Hunts waiters that are forgotten when lock managers or the server die (SIGKILL), freeze (SIGSTOP) or stop (SIGTERM) while they
 * wait: the order stands in the log, clients send their commands again, and whichever replica is there serves them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { connectMesh } from '@meshforge/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { AgentProcess } from '../../../packages/runtime/test/support/agent-process.ts';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection, pingAgents } from '../../../packages/runtime/test/support/wire.ts';
import { answerFlaws } from './support/answer-history.ts';
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
import {
  orderOf,
  queued,
  replicaIds,
  startWaiting,
  tellingOf,
  type Waiter,
  type WaitOptions,
} from './support/waiting.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const REPEAT_MS = 500;

let server: NatsServer;
let one: AgentProcess;
let other: AgentProcess;
/** How the replicas are addressed. */
let ids: { one: string; other: string };
let nats: Connection;
let announced: Announced;

beforeAll(async () => {
  server = await startNatsServer();
  nats = await openConnection(server.url);
  announced = await followEvents(nats);
});

beforeEach(async () => {
  one = await startLockManagerProcess(server.url);
  const [first = ''] = await replicaIds(nats);
  other = await startLockManagerProcess(server.url);
  const second = (await replicaIds(nats)).find((id) => id !== first) ?? '';
  ids = { one: first, other: second };
});

afterEach(async () => {
  one.signal('SIGCONT');
  other.signal('SIGCONT');
  await Promise.all([one.stop(), other.stop()]);
});

afterAll(async () => {
  await nats.close();
  await server.stop();
});

/** Five wait, by default as our client does: each sends its command again and again. */
async function fiveWait(resource: string, options: WaitOptions = {}): Promise<Waiter[]> {
  const waiters: Waiter[] = [];
  for (let i = 0; i < 5; i++) {
    waiters.push(startWaiting(nats, resource, `w${i}`, { waitMs: 60_000, repeatMs: REPEAT_MS, ...options }));
    await queued(nats, resource, i + 1);
  }
  return waiters;
}

/** Every waiter has asked again since now, so some replica serves it. */
async function askedAgain(waiters: readonly Waiter[]): Promise<void> {
  const before = waiters.map(({ sends }) => sends());
  await until('each has asked twice', () => waiters.every(({ sends }, i) => sends() >= (before[i] ?? 0) + 2));
  await nats.flush();
  await sleep(100);
}

/** Each hands on at once: in which order they were served. */
async function serveAll(resource: string, waiters: readonly Waiter[]): Promise<string[]> {
  const served: string[] = [];
  await Promise.all(
    waiters.map(async ({ owner, answer }) => {
      lease(await answer);
      served.push(owner);
      success(await release(nats, resource, owner), 'released');
    }),
  );
  return served;
}

const places = (resource: string): number =>
  announced.changes(resource).filter(({ event }) => event === 'queued').length;

/** What the log and the answers say, the places taken over as they stood. */
function expectFlawless(resource: string, waiters: readonly Waiter[]): void {
  expect(flawsOf(announced.changes(resource))).toEqual([]);
  expect(answerFlaws(waiters, announced.changes(resource), { once: false })).toEqual([]);
  expect(places(resource)).toBe(waiters.length);
}

test('waiters keep their places when all lock managers are killed and one comes back', async () => {
  lease(await acquire(nats, 'all', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('all');
  await Promise.all([one.kill(), other.kill()]);
  await one.restart();
  await askedAgain(waiters);
  expect((await viewLock(nats, 'all')).queue?.map(({ owner_id: owner }) => owner)).toEqual(
    orderOf(announced.changes('all')),
  );
  success(await release(nats, 'all', 'holder'), 'released');
  expect(await serveAll('all', waiters)).toEqual(orderOf(announced.changes('all')));
  expectFlawless('all', waiters);
});

test('a lease that ends while no lock manager lives is handed on when one comes back', async () => {
  lease(await acquire(nats, 'orphans', 'holder', { ttl: 3_000 }));
  const waiters = await fiveWait('orphans');
  await Promise.all([one.kill(), other.kill()]);
  await until('the lease has ended', () => announced.changes('orphans').some(({ event }) => event === 'expired'));
  await one.restart();
  // The first to ask may come before those who came before it, once: the lock was free for long.
  expect(await serveAll('orphans', waiters)).toHaveLength(5);
  expectFlawless('orphans', waiters);
});

test('when the replica that took them in is killed, another one takes the places over and serves them in order', async () => {
  lease(await acquire(nats, 'killed', 'holder', { ttl: 60_000 }));
  lease(await acquire(nats, 'killed-end', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('killed', { replica: ids.one, repeatMs: 2_500 });
  const ending = startWaiting(nats, 'killed-end', 'ann', { waitMs: 4_000, replica: ids.one, repeatMs: 2_500 });
  await queued(nats, 'killed-end', 1);
  await one.kill();
  expect(denial(await ending.answer).code).toBe('held');
  expect(ending.answers[0]?.at).toBeGreaterThanOrEqual(ending.sentAt + 4_000);
  await askedAgain(waiters);
  success(await release(nats, 'killed', 'holder'), 'released');
  expect(await serveAll('killed', waiters)).toEqual(orderOf(announced.changes('killed')));
  expectFlawless('killed', waiters);
});

test('a waiter whose replica is dead, and who does not ask again, holds up the next for two seconds, twice', async () => {
  const held = lease(await acquire(nats, 'dead', 'holder', { ttl: 60_000 }));
  startWaiting(nats, 'dead', 'dead', { waitMs: 60_000, replica: ids.one });
  await queued(nats, 'dead', 1);
  // It is the first by the clocks of both replicas.
  await sleep(1_000);
  const waiters = [];
  for (let i = 0; i < 3; i++) {
    waiters.push(startWaiting(nats, 'dead', `w${i}`, { waitMs: 60_000, replica: ids.other, repeatMs: REPEAT_MS }));
    await queued(nats, 'dead', i + 2);
  }
  await one.kill();
  success(await release(nats, 'dead', 'holder', { token: held.state.fencing_token }), 'released');
  const living = orderOf(announced.changes('dead')).filter((owner) => owner !== 'dead');
  expect(await serveAll('dead', waiters)).toEqual(living);
  expect(flawsOf(announced.changes('dead'))).toEqual([]);
  const steps = announced.changes('dead').filter(({ event }) => event === 'acquired' || event === 'released');
  const freeMs = steps.flatMap(({ event, time }, i) => {
    const before = steps[i - 1];
    return event === 'acquired' && before?.event === 'released' ? [time - before.time] : [];
  });
  expect(freeMs.slice(0, 2).every((ms) => ms >= 2_000)).toBe(true);
  // Passed over twice, the dead one waits no more.
  expect((await viewLock(nats, 'dead')).waiters).toBe(0);
});

test('waiters of a frozen replica are served by another one, and nothing goes wrong when it thaws', async () => {
  lease(await acquire(nats, 'frozen', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('frozen', { replica: ids.one });
  const ending = startWaiting(nats, 'frozen', 'ending', { waitMs: 3_000, replica: ids.one, repeatMs: REPEAT_MS });
  await queued(nats, 'frozen', 6);
  one.signal('SIGSTOP');
  expect(denial(await ending.answer).code).toBe('held');
  await askedAgain(waiters);
  // Commands go to the frozen replica, too: whoever gets no answer asks again.
  const commandId = 'frozen-release';
  const released = until('it is released', async () =>
    release(nats, 'frozen', 'holder', { commandId, timeoutMs: 1_000 }).catch(() => undefined),
  );
  const served: string[] = [];
  await Promise.all(
    waiters.map(async ({ owner, answer }) => {
      lease(await answer);
      served.push(owner);
      const id = `frozen-release-${owner}`;
      await until(`${owner} has released`, async () =>
        release(nats, 'frozen', owner, { commandId: id, timeoutMs: 1_000 }).catch(() => undefined),
      );
    }),
  );
  success(await released, 'released');
  expect(served).toHaveLength(5);
  one.signal('SIGCONT');
  // What it thaws with is answered from the log.
  await sleep(3_000);
  expectFlawless('frozen', [...waiters, ending]);
  expect((await viewLock(nats, 'frozen')).waiters).toBe(0);
});

test('waiters keep their places when the lock manager that took them in is told to stop', async () => {
  lease(await acquire(nats, 'stop', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('stop', { replica: ids.other });
  const raw = startWaiting(nats, 'stop', 'raw', { waitMs: 60_000, replica: ids.other });
  await queued(nats, 'stop', 6);
  expect(await other.terminate()).toEqual({ code: 0, signal: null });
  // Who does not ask again by itself is told to.
  expect(tellingOf(await raw.answer)).toBe('unavailable');
  await askedAgain(waiters);
  success(await release(nats, 'stop', 'holder'), 'released');
  const order = orderOf(announced.changes('stop')).filter((owner) => owner !== 'raw');
  expect(await serveAll('stop', waiters)).toEqual(order);
  expectFlawless('stop', [...waiters, raw]);
});

test('clients that wait with mesh.lock get the lock one after the other while the lock managers are killed and come back', async () => {
  const mesh = endWithTest(await connectMesh({ servers: server.url }));
  let done = 0;
  const work = Array.from({ length: 12 }, (_, i) =>
    mesh.lock('mesh', { ttlMs: 2_000, waitMs: 100_000, ownerId: `client-${i}` }, async (held) => {
      await sleep(600);
      held.throwIfLost();
      done++;
    }),
  );
  for (const manager of [one, other, one]) {
    await sleep(1_500);
    await manager.restart();
  }
  await Promise.all([one.kill(), other.kill()]);
  await Promise.all([one.restart(), other.restart()]);
  const results = await Promise.allSettled(work);
  // A lease can be lost while no lock manager is there to refresh it; a wait is not.
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'lease_lost' });
  }
  expect(done).toBeGreaterThan(0);
  expect(flawsOf(announced.changes('mesh'))).toEqual([]);
});

test('waiters keep their places when the server is killed and comes back', async () => {
  lease(await acquire(nats, 'server', 'holder', { ttl: 60_000 }));
  const waiters = await fiveWait('server');
  await server.kill('SIGKILL');
  await server.restart();
  await until('both lock managers serve', async () => (await pingAgents(nats, LOCKS)).length === 2);
  await askedAgain(waiters);
  success(await release(nats, 'server', 'holder'), 'released');
  expect(await serveAll('server', waiters)).toEqual(orderOf(announced.changes('server')));
  // Events may be lost with the server.
  expect(flawsOf(announced.changes('server'), { mayMiss: true })).toEqual([]);
});
