/**
 * Hunts a lock that two hold at once: 200 contenders, three replicas of the lock manager, and holders who never come
 * back. The witness is the log itself, as the server announced it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh } from './support/lock-manager.ts';
import { acquire, denial, endOf, followEvents, isLease, lease, refresh, release, success } from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const CONTENDERS = 200;
/** One in so many never releases. */
const CRASHES_EVERY = 25;
/** Contenders that try their luck each time the lock comes free; the others look again now and then. */
const WOKEN = 6;

test('200 contenders through three replicas hold one lock one after the other, though some never release it (I7)', async () => {
  const mesh = endWithTest(await startMesh(3));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const waiting = new Set<() => void>();
  for (const event of ['released', 'expired']) {
    nats.subscribe(`evt.lock.${event}`, {
      callback: () => [...waiting].slice(0, WOKEN).forEach((wake) => wake()),
    });
  }
  const turn = async (): Promise<void> => {
    let wake = (): void => {};
    const woken = new Promise<void>((resolve) => (wake = resolve));
    waiting.add(wake);
    await Promise.race([woken, sleep(500 + Math.random() * 500)]);
    waiting.delete(wake);
  };

  const tokens: number[] = [];
  const endings: Record<string, number> = {};
  /** What the lock protects: it takes no token below one that it has seen. */
  let highest = 0;
  const contend = async (index: number): Promise<void> => {
    const owner = `contender-${index}`;
    for (;;) {
      const reply = await acquire(nats, 'contended', owner, { ttl: 1_000 + (index % 5) * 200 });
      if (!isLease(reply)) {
        expect(denial(reply)).toMatchObject({ code: 'held', owner_id: owner });
        await turn();
        continue;
      }
      const granted = lease(reply);
      const token = granted.state.fencing_token;
      tokens.push(token);
      await sleep(Math.random() * 3);
      if (Date.now() < endOf(granted)) {
        expect(token).toBeGreaterThan(highest);
        highest = token;
      }
      if (index % CRASHES_EVERY === 0) return;
      const ended = await release(nats, 'contended', owner, { token });
      // On a machine that stalls for a second the lease may be over.
      const how = ended.event === 'evt.lock.released' ? 'released' : denial(ended).code;
      if (how === 'released') expect(success(ended, 'released').state.fencing_token).toBe(token);
      endings[how] = (endings[how] ?? 0) + 1;
      return;
    }
  };
  await Promise.all(Array.from({ length: CONTENDERS }, (_, index) => contend(index)));
  await until('the last lease has ended', () => announced.changes().at(-1)?.event !== 'acquired');

  const changes = announced.changes();
  expect(flawsOf(changes)).toEqual([]);
  const granted = changes.filter(({ event }) => event === 'acquired').map(({ payload }) => payload);
  expect(granted.map(({ state }) => state.fencing_token)).toEqual([...tokens].sort((a, b) => a - b));
  expect(new Set(granted.map(({ state }) => state.owner_id)).size).toBe(CONTENDERS);
  expect(endings['released']).toBeGreaterThan(0);
  const expired = changes.filter(({ event }) => event === 'expired');
  expect(expired.length).toBeGreaterThanOrEqual(CONTENDERS / CRASHES_EVERY);
  for (const replica of mesh.replicas) {
    expect(replica.stats().actions['acquire']?.outcomes.committed ?? 0).toBeGreaterThan(0);
  }
});

test('a refusal is never decided on what a replica remembers of the lock', async () => {
  const mesh = endWithTest(await startMesh(2));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  // Which replica takes a command is the server's choice: over so many locks, every order of the two comes about.
  const use = async (resource: string): Promise<void> => {
    lease(await acquire(nats, resource, 'ann', { ttl: 60_000 }));
    success(await release(nats, resource, 'ann'), 'released');
    const bob = lease(await acquire(nats, resource, 'bob', { ttl: 60_000 }));
    expect(bob.entity_version).toBe(3);
    const token = bob.state.fencing_token;
    lease(await refresh(nats, resource, 'bob', { token, ttl: 60_000 }));
    expect(denial(await acquire(nats, resource, 'ann')).current_owner_id).toBe('bob');
    success(await release(nats, resource, 'bob', { token }), 'released');
    expect(denial(await release(nats, resource, 'bob')).code).toBe('not_held');
    const ann = lease(await acquire(nats, resource, 'ann', { expectedVersion: 5, ttl: 60_000 }));
    expect(ann.entity_version).toBe(6);
    expect(ann.state.fencing_token).toBeGreaterThan(token);
  };
  await Promise.all(Array.from({ length: 150 }, (_, i) => use(`shared-${i}`)));
  expect(flawsOf(announced.changes())).toEqual([]);
  for (const replica of mesh.replicas) {
    expect(replica.stats().actions['release']?.outcomes.committed ?? 0).toBeGreaterThan(0);
  }
});
