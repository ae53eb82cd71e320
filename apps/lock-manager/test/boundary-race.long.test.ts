/**
 * Hunts what the milliseconds around the end of a lease can do to it. The server commits an expiry without a
 * compare-and-set, and takes out whatever lease it finds under its subject by then: a commit that slips in between may be
 * acknowledged and then wiped. Nothing that was acknowledged may ever be.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  endOf,
  followEvents,
  lease,
  refresh,
  release,
  success,
  type Announced,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const GUARD_MS = 250;

/** Every lock is free again: each lease that stood has been ended by the log. */
async function allFree(announced: Announced, resources: readonly string[]): Promise<void> {
  await until('every lease has ended', () => {
    const last = new Map(announced.changes().map(({ payload, event }) => [payload.entity_id, event]));
    return resources.every((resource) => last.get(resource) === 'released' || last.get(resource) === 'expired');
  });
}

/** What was acknowledged stands in the log, just so. */
function expectAcknowledged(announced: Announced, replies: readonly RawReply[]): void {
  const changes = new Map(
    announced
      .changes()
      .filter(({ event }) => event !== 'expired')
      .map((change) => [change.commandId, change]),
  );
  for (const reply of replies) expect(changes.get(reply.commandId)?.payload).toEqual(reply.payload);
}

test('refreshes, releases and acquires aimed at the end of a lease leave a flawless log (I1, I2, I7)', async () => {
  const mesh = endWithTest(await startMesh());
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 450 }, (_, i) => `race-${i}`);
  const acknowledged: RawReply[] = [];
  const denials = new Map<string, number>();

  const race = async (resource: string, index: number): Promise<void> => {
    const granted = await acquire(nats, resource, 'ann', { ttl: 500 + (index % 201) });
    const end = endOf(lease(granted));
    await sleep(Math.max(0, end + Math.random() * 350 - 300 - Date.now()));
    const [kind, send, owner] = (
      [
        ['refresh', refresh, 'ann'],
        ['release', release, 'ann'],
        ['acquire', acquire, 'bob'],
      ] as const
    )[index % 3] as [string, typeof acquire, string];
    const reply = await send(nats, resource, owner, kind === 'release' ? {} : { ttl: 500 });
    acknowledged.push(granted);
    if (reply.event === 'evt.lock.denied') {
      const key = `${kind} ${denial(reply).code}`;
      denials.set(key, (denials.get(key) ?? 0) + 1);
      return;
    }
    acknowledged.push(reply);
    // The decision was made before the guard band began, by the server's clock as the lock manager knows it.
    if (kind === 'refresh') expect(endOf(lease(reply)) - 500).toBeLessThan(end - GUARD_MS);
    if (kind === 'release') expect(endOf(success(reply, 'released'))).toBeLessThan(end - GUARD_MS);
  };
  await Promise.all(resources.map(race));

  await allFree(announced, resources);
  expect(flawsOf(announced.changes())).toEqual([]);
  expectAcknowledged(announced, acknowledged);
  expect(acknowledged.length).toBeGreaterThan(resources.length);
  const codes = ['refresh too_late', 'refresh not_held', 'release not_held', 'acquire held'];
  expect(codes).toEqual(expect.arrayContaining([...denials.keys()]));
});

test('no grant is wiped by the expiry of the lease before it, however many are due at once (I2, I7)', async () => {
  // As it is configured for real use, the server takes its time for each expiry: long enough to get in between.
  const mesh = endWithTest(await startMesh(1, { configText: 'jetstream { sync_interval: always }' }));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 400 }, (_, i) => `due-${i}`);
  const due = Date.now() + 4_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(nats, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  const ends = new Map(granted.map(lease).map((each) => [each.entity_id, endOf(each)]));
  await until('the first lease expires', () => announced.changes().some(({ event }) => event === 'expired'));

  // The server goes through them oldest first; whoever comes from behind finds leases whose end is on its way.
  const acknowledged: RawReply[] = [...granted];
  const left = resources.toReversed();
  const takeOver = async (): Promise<void> => {
    for (let resource = left.shift(); resource !== undefined; resource = left.shift()) {
      await sleep(Math.max(0, (ends.get(resource) ?? 0) - GUARD_MS / 2 - Date.now()));
      const answers = await Promise.all([
        release(nats, resource, 'ann'),
        acquire(nats, resource, 'bob', { ttl: 2_000 }),
      ]);
      acknowledged.push(...answers.filter((reply) => reply.event !== 'evt.lock.denied'));
    }
  };
  await Promise.all(Array.from({ length: 16 }, takeOver));

  await allFree(announced, resources);
  expect(flawsOf(announced.changes())).toEqual([]);
  expectAcknowledged(announced, acknowledged);
});
