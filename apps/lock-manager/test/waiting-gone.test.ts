/** Hunts locks that wait for the dead: owners whose connection, inbox or wait has ended, or who do not take up their grant. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import {
  acquire,
  followEvents,
  lease,
  refresh,
  release,
  success,
  type Announced,
  type Connection,
} from './support/locks.ts';
import { takePulse, type Pulse } from './support/pulse.ts';
import { expectAnsweredOnce, queued, startWaiting, type Waiter } from './support/waiting.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** So long a dead waiter may hold up the next, in milliseconds. */
const HELD_UP_MS = 1_000;

let mesh: Mesh;
let nats: Connection;
let announced: Announced;
let pulse: Pulse;

beforeAll(async () => {
  mesh = await startMesh(3);
  nats = mesh.connection;
  announced = await followEvents(nats);
  pulse = takePulse(nats);
});

afterAll(async () => {
  await pulse.stop();
  await mesh.stop();
});

/** Releases the lock; how long it takes until the waiter has it. */
async function handover(resource: string, waiter: Waiter): Promise<number> {
  const before = performance.now();
  success(await release(nats, resource, 'holder'), 'released');
  expect(lease(await waiter.answer).state.owner_id).toBe(waiter.owner);
  return performance.now() - before;
}

test('a waiter whose inbox is closed holds up the next for less than a second', async () => {
  lease(await acquire(nats, 'inbox', 'holder'));
  const dead = startWaiting(nats, 'inbox', 'dead');
  await queued(nats, 'inbox', 1);
  const living = startWaiting(nats, 'inbox', 'living');
  await queued(nats, 'inbox', 2);
  dead.vanish();
  expect(await handover('inbox', living)).toBeLessThan(pulse.beyond(HELD_UP_MS));
  await until('it is announced', () => announced.changes('inbox').at(-1)?.payload.state.owner_id === 'living');
  const released = announced.changes('inbox').filter(({ event }) => event === 'released');
  expect(released.at(-1)?.data).toMatchObject({ cause: 'gone', owner_id: 'dead' });
});

test('50 waiters whose connection is closed hold up the next together for less than a second', async () => {
  const other = endWithTest(await openConnection(mesh.server.url));
  lease(await acquire(nats, 'fifty', 'holder'));
  for (let i = 0; i < 50; i++) startWaiting(other, 'fifty', `dead-${i}`);
  await queued(nats, 'fifty', 50);
  const living = startWaiting(nats, 'fifty', 'living');
  await queued(nats, 'fifty', 51);
  await other.close();
  const tookMs = await handover('fifty', living);
  console.log(`past 50 dead waiters in ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(pulse.beyond(HELD_UP_MS));
  await sleep(400);
  expectAnsweredOnce([living]);
});

test('a waiter whose wait is over holds up nobody', async () => {
  lease(await acquire(nats, 'wait-over', 'holder'));
  const short = startWaiting(nats, 'wait-over', 'short', { waitMs: 200 });
  await queued(nats, 'wait-over', 1);
  short.vanish();
  const living = startWaiting(nats, 'wait-over', 'living');
  await until('its wait is over', () => announced.changes('wait-over').some(({ event }) => event === 'left'));
  expect(await handover('wait-over', living)).toBeLessThan(pulse.beyond(HELD_UP_MS));
  expect(announced.changes('wait-over').map(({ payload }) => payload.state.owner_id)).not.toContain('short');
});

test('a grant that is not taken up lasts only so long, and one that is goes on', async () => {
  lease(await acquire(nats, 'take-up', 'holder'));
  // Its inbox is open, and nobody looks at it.
  const deaf = startWaiting(nats, 'take-up', 'deaf', { takeUp: 500, ttl: 60_000 });
  await queued(nats, 'take-up', 1);
  const living = startWaiting(nats, 'take-up', 'living', { takeUp: 500, ttl: 60_000 });
  await queued(nats, 'take-up', 2);
  expect(await handover('take-up', deaf)).toBeLessThan(pulse.beyond(HELD_UP_MS));
  const before = performance.now();
  const { state } = lease(await living.answer);
  expect(performance.now() - before).toBeLessThan(pulse.beyond(500 + HELD_UP_MS));
  const taken = lease(await refresh(nats, 'take-up', 'living', { token: state.fencing_token, ttl: 60_000 }));
  expect(Date.parse(taken.state.expires_at) - Date.parse(taken.state.acquired_at)).toBeGreaterThanOrEqual(60_000);
  await sleep(700);
  expect(announced.changes('take-up').at(-1)?.event).toBe('acquired');
  expectAnsweredOnce([deaf, living]);
});

test('dead waiters do not hold up the next either when the lease before them ends unreleased', async () => {
  const other = endWithTest(await openConnection(mesh.server.url));
  const held = lease(await acquire(nats, 'expiry', 'holder', { ttl: 1_000 }));
  for (let i = 0; i < 10; i++) startWaiting(other, 'expiry', `dead-${i}`);
  await queued(nats, 'expiry', 10);
  const living = startWaiting(nats, 'expiry', 'living');
  await queued(nats, 'expiry', 11);
  await other.close();
  const granted = lease(await living.answer);
  expect(Date.parse(granted.state.acquired_at) - Date.parse(held.state.expires_at)).toBeLessThan(
    pulse.beyond(HELD_UP_MS),
  );
});

test('the log of all this is as it must be', () => {
  expect(flawsOf(announced.changes())).toEqual([]);
});
