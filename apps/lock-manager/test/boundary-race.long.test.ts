/**
 * Hunts what the milliseconds around the end of a lease can do to it. The server commits an expiry without a compare-and-set,
 * and purges the message that scheduled it: a commit that slips in between must not be wiped. Nothing that was acknowledged
 * may ever be, and every lease ends by itself.
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
  readLock,
  refresh,
  release,
  type Announced,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** As it is configured for real use, the server takes its time for each expiry: long enough to get in between. */
const SYNCED = { configText: 'jetstream { sync_interval: always }' };

/** Each lock's last acknowledged commit stands in the log, and no commit is announced that was not acknowledged. */
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

/** A void expiry, of a lease that a later commit has replaced, is a hint to raw clients: it is no flaw. */
function withoutVoid(announced: Announced): ReturnType<Announced['changes']> {
  const versions = new Map<string, number>();
  return announced.changes().filter(({ event, payload: { entity_id: id, entity_version: version } }) => {
    const isVoid = event === 'expired' && version < (versions.get(id) ?? 0);
    versions.set(id, Math.max(version, versions.get(id) ?? 0));
    return !isVoid;
  });
}

test('refreshes, releases and acquires aimed at the end of a lease leave a flawless log (I1, I2, I7)', async () => {
  const mesh = endWithTest(await startMesh());
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 450 }, (_, i) => `race-${i}`);
  const acknowledged: RawReply[] = [];
  const denials = new Set<string>();

  const race = async (resource: string, index: number): Promise<void> => {
    const granted = await acquire(nats, resource, 'ann', { ttl: 500 + (index % 201) });
    await sleep(Math.max(0, endOf(lease(granted)) + Math.random() * 200 - 100 - Date.now()));
    const [kind, send, owner] = (
      [
        ['refresh', refresh, 'ann'],
        ['release', release, 'ann'],
        ['acquire', acquire, 'bob'],
      ] as const
    )[index % 3] as [string, typeof acquire, string];
    const reply = await send(nats, resource, owner, kind === 'release' ? {} : { ttl: 500 });
    acknowledged.push(granted);
    if (reply.event === 'evt.lock.denied') denials.add(`${kind} ${denial(reply).code}`);
    else acknowledged.push(reply);
  };
  await Promise.all(resources.map(race));

  await allFree(announced, resources);
  expect(flawsOf(withoutVoid(announced))).toEqual([]);
  expectAcknowledged(announced, acknowledged);
  expect(acknowledged.length).toBeGreaterThan(resources.length);
  expect(['refresh not_held', 'release not_held', 'acquire held']).toEqual(expect.arrayContaining([...denials]));
});

test('no acknowledged refresh is wiped by the expiry of the lease before it, however many are due at once (I2)', async () => {
  const mesh = endWithTest(await startMesh(1, SYNCED));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 400 }, (_, i) => `due-${i}`);
  const due = Date.now() + 4_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(nats, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  await until('the first lease expires', () => announced.changes().some(({ event }) => event === 'expired'));
  // The server goes through them oldest first; whoever comes from behind finds leases whose end is on its way.
  const acknowledged: RawReply[] = [...granted];
  let refreshed = 0;
  const left = resources.toReversed();
  const come = async (): Promise<void> => {
    for (let resource = left.shift(); resource !== undefined; resource = left.shift()) {
      const reply = await refresh(nats, resource, 'ann', { ttl: 6_000 });
      if (reply.event === 'evt.lock.denied') {
        expect(denial(reply).code).toBe('not_held');
        continue;
      }
      acknowledged.push(reply);
      refreshed++;
      // It stands: an expiry of the lease before is void.
      const now = await readLock(nats, resource);
      if (Date.now() < endOf(lease(reply)) - 1_000) expect(now).toEqual(lease(reply));
    }
  };
  await Promise.all(Array.from({ length: 16 }, come));
  console.log(`${refreshed} of ${resources.length} refreshed`);
  await allFree(announced, resources);
  expect(flawsOf(withoutVoid(announced))).toEqual([]);
  expectAcknowledged(announced, acknowledged);
});

test('no grant is wiped by the expiry of the lease before it, however many are due at once (I2, I7)', async () => {
  const mesh = endWithTest(await startMesh(1, SYNCED));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const resources = Array.from({ length: 400 }, (_, i) => `due-${i}`);
  const due = Date.now() + 4_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(nats, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  await until('the first lease expires', () => announced.changes().some(({ event }) => event === 'expired'));
  const acknowledged: RawReply[] = [...granted];
  const left = resources.toReversed();
  const takeOver = async (): Promise<void> => {
    for (let resource = left.shift(); resource !== undefined; resource = left.shift()) {
      const answers = await Promise.all([
        release(nats, resource, 'ann'),
        acquire(nats, resource, 'bob', { ttl: 2_000 }),
      ]);
      acknowledged.push(...answers.filter((reply) => reply.event !== 'evt.lock.denied'));
    }
  };
  await Promise.all(Array.from({ length: 16 }, takeOver));
  await allFree(announced, resources);
  expect(flawsOf(withoutVoid(announced))).toEqual([]);
  expectAcknowledged(announced, acknowledged);
});
