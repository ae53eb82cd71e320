/**
 * Hunts a holder that believes in a lease which the lock manager has ended: a kept lock on virtual time, against a lock
 * manager of few lines, with requests and answers that are late or lost and an event loop that stands still.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeptLock } from '../../src/client/locks/kept-lock.ts';
import type { LeaseWatcher } from '../../src/client/locks/lease-ends.ts';
import type { RefreshReply } from '../../src/client/locks/lock-commands.ts';
import type { LeaseLoss } from '../../src/client/locks/types.ts';
import { VirtualClock, settled } from './virtual-clock.ts';

/** How long a message travels, in milliseconds; undefined: it is lost. */
type Way = number | undefined;

/** A kept lock, and the lease as the lock manager has it. */
function holder(ttlMs: number, ways: (round: number) => { there: Way; back: Way } = () => ({ there: 1, back: 1 })) {
  const clock = new VirtualClock();
  const world = {
    clock,
    endsAt: ttlMs,
    version: 1,
    round: 0,
    lostAt: undefined as number | undefined,
    isConnected: true,
  };
  const losses: LeaseLoss[] = [];
  let told: LeaseWatcher | undefined;
  const travel = (way: Way): Promise<void> => (way === undefined ? new Promise(() => {}) : clock.sleep(way));
  const serve = async (): Promise<RefreshReply> => {
    const { there, back } = ways(world.round++);
    await travel(there);
    const left = world.endsAt - clock.now;
    if (left > 0) world.endsAt = clock.now + ttlMs;
    const version = left > 0 ? ++world.version : 0;
    await travel(back);
    if (left > 0) return { kind: 'extended', version };
    const code = 'not_held';
    const denied = { entity_id: 'r', owner_id: 'o', reason: code, current_owner_id: null, expires_at: null };
    return { kind: 'denied', denied: { ...denied, code } };
  };
  const lock = new KeptLock(
    { resource: 'r', fencingToken: 1, version: 1, term: { sentAt: 0, durationMs: ttlMs } },
    { ownerId: 'o', ttlMs },
    {
      clock,
      commands: {
        refresh: (_lock, _owner, _ttl, timeoutMs) =>
          Promise.race([serve(), clock.sleep(timeoutMs).then(() => Promise.reject(new Error('no answer')))]),
      },
      isConnected: () => world.isConnected,
      watchEnd: (_lock, watcher) => {
        told = watcher;
        return () => (told = undefined);
      },
    },
    (_lock, loss) => {
      losses.push(loss);
      world.lostAt = clock.now;
    },
  );
  return {
    world,
    clock,
    lock,
    losses,
    take: (loss: LeaseLoss) => told?.onTaken(loss),
    expire: (version: number) => told?.onExpired(version),
  };
}

describe('a kept lock', () => {
  test('is held for many times its time while refreshes come through', async () => {
    const { clock, lock, losses, world } = holder(600);
    await clock.advance(60_000);
    expect(lock.remainingMs()).toBeGreaterThan(300);
    expect(losses).toEqual([]);
    // At a third of the time, and no more often.
    expect(world.round).toBeGreaterThan(280);
    expect(world.round).toBeLessThan(310);
  });

  test('survives a refresh without an answer', async () => {
    const { clock, lock } = holder(3_000, (round) => ({ there: round === 0 ? undefined : 1, back: 1 }));
    await clock.advance(10_000);
    expect(lock.remainingMs()).toBeGreaterThan(0);
  });

  test('is told lost before its end when no refresh is answered, once, and says whether it was cut off', async () => {
    for (const isConnected of [true, false]) {
      const { clock, losses, world } = holder(600, () => ({ there: undefined, back: undefined }));
      world.isConnected = isConnected;
      await clock.advance(10_000);
      expect(losses.map(({ cause }) => cause)).toEqual([isConnected ? 'expired' : 'disconnected']);
      expect(world.lostAt).toBeLessThanOrEqual(600);
      expect(world.lostAt).toBeGreaterThan(550);
    }
  });

  test('is lost at the first look after the event loop stood still, before any timer has run', () => {
    const { clock, lock, losses } = holder(600);
    clock.block(600);
    expect(lock.remainingMs()).toBe(0);
    expect(losses).toHaveLength(1);
  });

  test('stays lost although the lock manager has accepted a refresh', async () => {
    const { clock, lock, losses, world } = holder(600, () => ({ there: 1, back: 450 }));
    await clock.advance(5_000);
    expect(world.round).toBe(1);
    // The lock manager had moved the end.
    expect(world.endsAt).toBeGreaterThan(700);
    expect(losses.map(({ cause }) => cause)).toEqual(['expired']);
    expect(lock.remainingMs()).toBe(0);
  });

  test('is lost when told so, and asks for nothing more', async () => {
    const { clock, expire, losses, take, world } = holder(600);
    await settled();
    take({ cause: 'broken', reason: 'by hand' });
    expire(1);
    await clock.advance(5_000);
    expect(losses).toEqual([{ cause: 'broken', reason: 'by hand' }]);
    expect(world.round).toBe(0);
  });

  test('is lost when its lease is said to have expired, whatever its own clock says', async () => {
    const { expire, losses } = holder(60_000);
    await settled();
    expire(1);
    expect(losses.map(({ cause }) => cause)).toEqual(['expired']);
  });

  test('is not lost by the end of a lease that a refresh has replaced', async () => {
    const { clock, expire, lock, losses, world } = holder(600);
    await clock.advance(250);
    expect(world.version).toBe(2);
    expire(1);
    expect(losses).toEqual([]);
    expect(lock.remainingMs()).toBeGreaterThan(0);
    expire(2);
    expect(losses.map(({ cause }) => cause)).toEqual(['expired']);
  });

  test('waits for a refresh under way before it believes that its lease has expired', async () => {
    const extended = holder(600, () => ({ there: 50, back: 100 }));
    await extended.clock.advance(220);
    extended.expire(1);
    expect(extended.losses).toEqual([]);
    await extended.clock.advance(200);
    expect(extended.losses).toEqual([]);
    expect(extended.lock.remainingMs()).toBeGreaterThan(0);

    const unanswered = holder(6_000, () => ({ there: undefined, back: undefined }));
    await unanswered.clock.advance(2_100);
    unanswered.expire(1);
    expect(unanswered.losses).toEqual([]);
    await unanswered.clock.advance(1_100);
    expect(unanswered.losses.map(({ cause }) => cause)).toEqual(['expired']);
  });
});

const way = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 50 }) },
  { weight: 3, arbitrary: fc.integer({ min: 50, max: 1_500 }) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ blocked: fc.constant(false), ms: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 1, arbitrary: fc.record({ blocked: fc.constant(true), ms: fc.integer({ min: 1, max: 1_200 }) }) },
);

test('what it believes to be left is never more than the lock manager grants, whatever is late, lost or blocked', async () => {
  let refreshes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 500, max: 2_000 }),
      fc.array(fc.record({ there: way, back: way }), { minLength: 1, maxLength: 20 }),
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (ttlMs, ways, steps) => {
        const { clock, lock, world } = holder(ttlMs, (round) => ways[round % ways.length] as { there: Way; back: Way });
        let wasBlocked = false;
        let wasLost = false;
        for (const { blocked, ms } of steps) {
          if (blocked) clock.block(ms);
          else await clock.advance(ms);
          wasBlocked ||= blocked;
          const left = lock.remainingMs();
          expect(left).toBeLessThanOrEqual(Math.max(0, world.endsAt - clock.now));
          if (wasLost) expect(left).toBe(0);
          wasLost = left === 0;
        }
        if (world.lostAt !== undefined && !wasBlocked) expect(world.lostAt).toBeLessThanOrEqual(world.endsAt);
        refreshes += world.round;
      },
    ),
    { numRuns: 2_000 },
  );
  // Otherwise nothing was put to the test.
  expect(refreshes).toBeGreaterThan(2_000);
});
