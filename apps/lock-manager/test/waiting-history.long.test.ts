/** Hunts what 100 clients can do to 30 locks in ten seconds, waiting, refreshing, releasing, breaking and dying. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { answerFlaws } from './support/answer-history.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh } from './support/lock-manager.ts';
import { acquire, followEvents, isLease, refresh, release, type Connection } from './support/locks.ts';
import { takePulse } from './support/pulse.ts';
import { breakLock, cancel, startWaiting, tellingOf, type Waiter } from './support/waiting.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const CLIENTS = 100;
const LOCKS = 30;
const RUN_MS = 10_000;
/** So long a lock that somebody waits for may stand free: the dead hold up the next for less than a second each. */
const FREE_MS = 1_000;

const chance = (share: number): boolean => Math.random() < share;

test('whatever 100 clients do, each waiter is answered once, each grant is in order, and the log is exact', async () => {
  const mesh = endWithTest(await startMesh(3));
  const announced = await followEvents(mesh.connection);
  const pulse = takePulse(mesh.connection);
  const waiters: Waiter[] = [];
  const tally: Record<string, number> = {};
  const end = performance.now() + RUN_MS;

  const client = async (index: number): Promise<void> => {
    while (performance.now() < end) {
      const nats = await openConnection(mesh.server.url);
      await liveUntilDeath(nats, `${index}`);
      await nats.close();
    }
  };
  /** A client that dies leaves everything as it is, and comes back as another one. */
  const liveUntilDeath = async (nats: Connection, name: string): Promise<void> => {
    for (let turn = 0; performance.now() < end; turn++) {
      const resource = `lock-${Math.floor(Math.random() * LOCKS)}`;
      const owner = `${name}-${turn % 3}`;
      if (chance(0.02)) await breakLock(nats, resource, 'for the test', owner);
      if (chance(0.05)) await acquire(nats, resource, owner, { ttl: 600 });
      const waitMs = [100, 500, 2_000, 6_000][turn % 4] as number;
      const waiter = startWaiting(nats, resource, owner, {
        waitMs,
        ttl: 1_500,
        ...(chance(0.3) ? { takeUp: 600 } : {}),
      });
      waiters.push(waiter);
      if (chance(0.03)) {
        await sleep(Math.random() * 200);
        waiter.vanish();
        if (chance(0.5)) return;
        continue;
      }
      if (chance(0.05)) {
        await sleep(Math.random() * 100);
        await cancel(nats, resource, owner);
      }
      const reply = await waiter.answer;
      const told = tellingOf(reply);
      tally[told] = (tally[told] ?? 0) + 1;
      if (!isLease(reply)) continue;
      await sleep(Math.random() * 60);
      if (chance(0.3)) await refresh(nats, resource, owner, { ttl: 1_000 });
      // Some never release.
      if (!chance(0.04)) await release(nats, resource, owner);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
  await sleep(2_500);
  await pulse.stop();

  const changes = announced.changes();
  const events: Record<string, number> = {};
  for (const { event } of changes) events[event] = (events[event] ?? 0) + 1;
  console.log(`${changes.length} commits`, events, 'told', tally);
  expect(flawsOf(changes, { freeMs: pulse.beyond(FREE_MS) })).toEqual([]);
  const flaws = answerFlaws(waiters, changes, { once: true });
  // Connections of clients are closed when the time is up: who had no answer by then is gone.
  expect(flaws.filter((flaw) => !flaw.endsWith('was not answered'))).toEqual([]);
  for (const kind of ['acquired', 'released', 'expired', 'queued', 'cancelled', 'left'])
    expect(events[kind]).toBeGreaterThan(0);
});
