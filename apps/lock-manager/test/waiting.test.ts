/**
 * Hunts waiters that are passed over, answered twice, too early or too late, or told something else than what the log says.
 * Three replicas of the lock manager; which of them takes a command is the server's choice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  followEvents,
  isLease,
  lease,
  refresh,
  release,
  success,
  viewLock,
  type Announced,
  type Connection,
} from './support/locks.ts';
import {
  breakLock,
  cancel,
  expectAnsweredOnce,
  orderOf,
  queued,
  replicaIds,
  startWaiting,
  tellingOf,
  type Waiter,
  type WaitOptions,
} from './support/waiting.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let mesh: Mesh;
let nats: Connection;
let announced: Announced;
/** One of the replicas: by its clock alone, who comes first is first. */
let one: string;

beforeAll(async () => {
  mesh = await startMesh(3);
  nats = mesh.connection;
  announced = await followEvents(nats);
  [one = ''] = await replicaIds(nats);
});

afterAll(async () => {
  await mesh.stop();
});

const owners = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${i}`);

/** Each is served, and hands on at once; in which order they were. */
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

/** One after the other, at whichever replica takes them. */
async function arrive(resource: string, names: readonly string[], options: WaitOptions = {}): Promise<Waiter[]> {
  const waiters: Waiter[] = [];
  for (const name of names) {
    waiters.push(startWaiting(nats, resource, name, options));
    await sleep(20);
  }
  return waiters;
}

test('owners are served in the order in which they came, whichever replica took them in', async () => {
  lease(await acquire(nats, 'fcfs', 'holder'));
  const waiters = await arrive('fcfs', owners(40));
  await queued(nats, 'fcfs', 40);
  success(await release(nats, 'fcfs', 'holder'), 'released');
  expect(await serveAll('fcfs', waiters)).toEqual(orderOf(announced.changes('fcfs')));
  await sleep(400);
  expectAnsweredOnce(waiters);
});

test('those who come in the last moments of a lease keep their order too', async () => {
  lease(await acquire(nats, 'moments', 'holder', { ttl: 700 }));
  await sleep(400);
  const waiters = await arrive('moments', owners(14));
  expect(await serveAll('moments', waiters)).toHaveLength(14);
  expect(flawsOf(announced.changes('moments'))).toEqual([]);
  expectAnsweredOnce(waiters);
});

test('where one stands and how many wait is told by the event and by the query', async () => {
  const { state } = lease(await acquire(nats, 'seen', 'holder'));
  const waiters = await arrive('seen', ['ann', 'bob', 'cy'], { replica: one });
  await queued(nats, 'seen', 3);
  const told = announced.changes('seen').filter(({ event }) => event === 'queued');
  expect(told.map(({ data }) => [data?.owner_id, data?.position, data?.waiters])).toEqual([
    ['ann', 1, 1],
    ['bob', 2, 2],
    ['cy', 3, 3],
  ]);
  const view = await until('all are in view', async () => {
    const seen = await viewLock(nats, 'seen');
    return seen.queue?.length === 3 ? seen : undefined;
  });
  expect(view.queue).toEqual(
    told.map(({ data }) => ({ owner_id: data?.owner_id, position: data?.position, until: data?.until })),
  );
  expect(view.remaining_ms).toBeLessThanOrEqual(30_000);
  expect(view.remaining_ms).toBeGreaterThan(20_000);
  expect(view.state).toEqual(state);
  expect(denial(await acquire(nats, 'seen', 'dan'))).toMatchObject({ code: 'held', waiters: 3 });
  success(await release(nats, 'seen', 'holder'), 'released');
  await serveAll('seen', waiters);
  expect(await viewLock(nats, 'seen')).toMatchObject({ remaining_ms: 0, waiters: 0, queue: [] });
});

test('a wait that is over is answered held, not early and not late, and never granted after that', async () => {
  lease(await acquire(nats, 'over', 'holder'));
  const waiters = [200, 501, 1_000, 1_001].map((waitMs, i) => ({
    waitMs,
    waiter: startWaiting(nats, 'over', `w${i}`, { waitMs }),
  }));
  for (const { waitMs, waiter } of waiters) {
    expect(denial(await waiter.answer)).toMatchObject({ code: 'held', current_owner_id: 'holder' });
    const waited = (waiter.answers[0]?.at ?? 0) - waiter.sentAt;
    expect(waited).toBeGreaterThanOrEqual(waitMs);
    expect(waited).toBeLessThan(waitMs + 1_000);
  }
  success(await release(nats, 'over', 'holder'), 'released');
  await sleep(400);
  expect(announced.changes('over').filter(({ event }) => event === 'acquired')).toHaveLength(1);
  expectAnsweredOnce(waiters.map(({ waiter }) => waiter));
});

test('a wait that ends in the last moments of a lease is punctual too', async () => {
  const lateness = async (resource: string): Promise<number> => {
    lease(await acquire(nats, resource, 'holder', { ttl: 1_000 }));
    const waiter = startWaiting(nats, resource, 'ann', { waitMs: 800 });
    expect(denial(await waiter.answer).code).toBe('held');
    return (waiter.answers[0]?.at ?? 0) - waiter.sentAt - 800;
  };
  // A machine that stalls makes one late, not the best of three.
  const each = [await lateness('punctual 1'), await lateness('punctual 2'), await lateness('punctual 3')];
  expect(Math.min(...each)).toBeLessThan(150);
});

test('cancel answers the waiter cancelled, and tells who was cancelled', async () => {
  lease(await acquire(nats, 'cancel', 'holder'));
  const waiters = await arrive('cancel', ['ann', 'bob']);
  await queued(nats, 'cancel', 2);
  const cancelled = await cancel(nats, 'cancel', 'ann');
  expect(cancelled).toMatchObject({ event: 'evt.lock.cancelled', payload: { data: { owner_id: 'ann', waiters: 1 } } });
  expect(denial(await (waiters[0] as Waiter).answer).code).toBe('cancelled');
  expect(denial(await cancel(nats, 'cancel', 'ann')).code).toBe('not_waiting');
  success(await release(nats, 'cancel', 'holder'), 'released');
  lease(await (waiters[1] as Waiter).answer);
  expectAnsweredOnce(waiters);
});

test('whether a cancel or a grant comes first, both are told the same, and nobody is granted what was cancelled', async () => {
  const tally = { granted: 0, cancelled: 0 };
  const race = async (i: number): Promise<void> => {
    const resource = `cancel-race-${i}`;
    lease(await acquire(nats, resource, 'holder'));
    const waiter = startWaiting(nats, resource, 'ann');
    await queued(nats, resource, 1);
    const releasing = release(nats, resource, 'holder');
    await sleep((i % 8) / 2);
    const cancelling = await cancel(nats, resource, 'ann');
    success(await releasing, 'released');
    const told = tellingOf(await waiter.answer);
    await sleep(500);
    expectAnsweredOnce([waiter]);
    const held = await viewLock(nats, resource);
    if (cancelling.event === 'evt.lock.cancelled') {
      expect({ resource, told, holder: held.state.owner_id }).toEqual({ resource, told: 'cancelled', holder: null });
      tally.cancelled++;
    } else {
      expect(denial(cancelling).code).toBe('not_waiting');
      expect({ resource, told, holder: held.state.owner_id }).toEqual({ resource, told: 'acquired', holder: 'ann' });
      tally.granted++;
    }
    expect(held.waiters).toBe(0);
  };
  for (let i = 0; i < 120; i += 24) await Promise.all(Array.from({ length: 24 }, (_, j) => race(i + j)));
  expect(tally.granted).toBeGreaterThan(0);
  expect(tally.cancelled).toBeGreaterThan(0);
});

test('a retry of the same command keeps the place, and is told what the first is told', async () => {
  lease(await acquire(nats, 'retry', 'holder'));
  const first = startWaiting(nats, 'retry', 'ann', { commandId: 'retry-1', replica: one });
  await queued(nats, 'retry', 1);
  const bob = startWaiting(nats, 'retry', 'bob', { replica: one });
  await queued(nats, 'retry', 2);
  const retries = [];
  for (let i = 0; i < 6; i++) {
    retries.push(startWaiting(nats, 'retry', 'ann', { commandId: 'retry-1' }));
    first.again();
    await sleep(20);
  }
  await nats.flush();
  await sleep(100);
  expect((await viewLock(nats, 'retry')).queue?.map(({ owner_id: owner }) => owner)).toEqual(['ann', 'bob']);
  expect(announced.changes('retry').filter(({ event }) => event === 'queued')).toHaveLength(2);
  success(await release(nats, 'retry', 'holder'), 'released');
  // Each replica answers the latest copy that it has.
  const granted = lease(await Promise.race([first, ...retries].map(({ answer }) => answer)));
  expect(granted.state.owner_id).toBe('ann');
  success(await release(nats, 'retry', 'ann'), 'released');
  lease(await bob.answer);
  await sleep(1_500);
  for (const { answers } of [first, ...retries]) {
    for (const { reply } of answers) expect(lease(reply)).toEqual(granted);
  }
  expectAnsweredOnce([bob]);
  const late = startWaiting(nats, 'retry', 'ann', { commandId: 'retry-1' });
  expect(await late.answer).toMatchObject({ replayed: true, payload: granted });
});

test('a command waits once: sent again after its wait, it is refused at once', async () => {
  lease(await acquire(nats, 'once', 'holder'));
  const first = startWaiting(nats, 'once', 'ann', { commandId: 'once-1', waitMs: 200 });
  expect(denial(await first.answer).code).toBe('held');
  for (let i = 0; i < 6; i++) {
    const again = startWaiting(nats, 'once', 'ann', { commandId: 'once-1', waitMs: 60_000 });
    expect(denial(await again.answer).code).toBe('held');
  }
  expect((await viewLock(nats, 'once')).waiters).toBe(0);
});

test('a later acquire of the same owner takes over its place; the earlier one is answered cancelled', async () => {
  lease(await acquire(nats, 'anew', 'holder'));
  const [early, bob] = (await arrive('anew', ['ann', 'bob'], { replica: one })) as [Waiter, Waiter];
  await queued(nats, 'anew', 2);
  const late = startWaiting(nats, 'anew', 'ann', { waitMs: 20_000 });
  expect(denial(await early.answer).code).toBe('cancelled');
  expect((await viewLock(nats, 'anew')).queue?.map(({ owner_id: owner }) => owner)).toEqual(['ann', 'bob']);
  success(await release(nats, 'anew', 'holder'), 'released');
  expect(lease(await late.answer).state.owner_id).toBe('ann');
  success(await release(nats, 'anew', 'ann'), 'released');
  lease(await bob.answer);
  await sleep(400);
  expectAnsweredOnce([early, bob, late]);
});

test('an acquire anew that meets its own grant: each command is answered once, and the owner holds the lock', async () => {
  const race = async (i: number): Promise<void> => {
    const resource = `anew-race-${i}`;
    lease(await acquire(nats, resource, 'holder'));
    const early = startWaiting(nats, resource, 'ann', { waitMs: 8_000 });
    await queued(nats, resource, 1);
    const releasing = release(nats, resource, 'holder');
    await sleep((i % 8) / 2);
    const late = startWaiting(nats, resource, 'ann', { waitMs: 5_000 });
    success(await releasing, 'released');
    expect(tellingOf(await late.answer)).toBe('acquired');
    expect(['acquired', 'cancelled']).toContain(tellingOf(await early.answer));
    await sleep(400);
    expectAnsweredOnce([early, late]);
    expect((await viewLock(nats, resource)).state.owner_id).toBe('ann');
  };
  for (let i = 0; i < 72; i += 24) await Promise.all(Array.from({ length: 24 }, (_, j) => race(i + j)));
});

test('the end of a wait that meets a release: granted, or held and then never granted', async () => {
  const told = new Set<string>();
  /** When the lock is released, so many milliseconds after the wait began: near its end, however busy the machine is. */
  let releaseMs = 300;
  const race = async (i: number): Promise<void> => {
    const resource = `end-race-${i}`;
    lease(await acquire(nats, resource, 'holder'));
    const waiter = startWaiting(nats, resource, 'ann', { waitMs: 300 });
    await sleep(releaseMs + (i % 10) - 4);
    success(await release(nats, resource, 'holder'), 'released');
    const telling = tellingOf(await waiter.answer);
    told.add(telling);
    releaseMs += telling === 'held' ? -2 : 2;
    await sleep(400);
    expectAnsweredOnce([waiter]);
    const { state, waiters } = await viewLock(nats, resource);
    const holder = telling === 'acquired' ? 'ann' : null;
    expect({ resource, holder: state.owner_id, waiters }).toEqual({ resource, holder, waiters: 0 });
  };
  for (let i = 0; i < 60 || (told.size < 2 && i < 400); i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => race(i + j)));
  }
  expect([...told].sort()).toEqual(['acquired', 'held']);
});

test('who does not wait never gets past those who do', async () => {
  lease(await acquire(nats, 'barge', 'holder'));
  const waiters = await arrive('barge', owners(10));
  await queued(nats, 'barge', 10);
  const end = { isHere: false };
  let denials = 0;
  const bargers = Array.from({ length: 8 }, async (_, i) => {
    while (!end.isHere) {
      const reply = await acquire(nats, 'barge', `barger-${i}`, { ttl: 500 });
      if (isLease(reply)) {
        // Only once all who waited have had their turn.
        expect(waiters.every(({ answers }) => answers.length === 1)).toBe(true);
        return;
      }
      expect(denial(reply).code).toBe('held');
      denials++;
    }
  });
  success(await release(nats, 'barge', 'holder'), 'released');
  const hold = waiters.map(async ({ owner, answer }) => {
    lease(await answer);
    await sleep(20);
    await release(nats, 'barge', owner);
  });
  await Promise.all(hold);
  end.isHere = true;
  await Promise.all(bargers);
  expect(denials).toBeGreaterThan(50);
});

test('an acquire that expects a version is never held back', async () => {
  const { entity_version: version } = lease(await acquire(nats, 'expects', 'holder'));
  const waiter = startWaiting(nats, 'expects', 'ann', { expectedVersion: version });
  expect(denial(await waiter.answer).code).toBe('held');
  const conflict = startWaiting(nats, 'expects', 'ann', { expectedVersion: 7 });
  expect((await conflict.answer).event).toBe('evt.lock.conflict');
  expect((await viewLock(nats, 'expects')).waiters).toBe(0);
});

test('break ends a lease for whoever is next: it says who and why, and the former holder is told no', async () => {
  const held = lease(await acquire(nats, 'break', 'holder'));
  const [ann] = (await arrive('break', ['ann'])) as [Waiter];
  await queued(nats, 'break', 1);
  const broken = await breakLock(nats, 'break', 'its machine burnt', 'ops');
  const cause = { cause: 'broken', owner_id: 'holder', reason: 'its machine burnt', operator_id: 'ops' };
  expect(broken).toMatchObject({ event: 'evt.lock.released', payload: { data: cause } });
  const granted = lease(await ann.answer);
  expect(granted.state).toMatchObject({ owner_id: 'ann' });
  expect(granted.state.fencing_token).toBeGreaterThan(held.state.fencing_token);
  expect(denial(await refresh(nats, 'break', 'holder'))).toMatchObject({ code: 'not_holder', current_owner_id: 'ann' });
  expect(denial(await release(nats, 'break', 'holder')).code).toBe('not_holder');
  await until('it is announced', () => announced.changes('break').some(({ data }) => data?.cause === 'broken'));
  expect(announced.changes('break').find(({ event }) => event === 'released')?.data).toEqual(cause);
  success(await release(nats, 'break', 'ann'), 'released');
  expect(denial(await breakLock(nats, 'break', 'again')).code).toBe('not_held');
});

test('many more than may wait: the one too many is told queue_full', async () => {
  lease(await acquire(nats, 'full', 'holder', { ttl: 60_000 }));
  const trace = { traceparent: 'p'.repeat(4_096), tracestate: 's'.repeat(4_096), baggage: 'b'.repeat(4_096) };
  const waiters = owners(512).map((owner) => startWaiting(nats, 'full', owner, { waitMs: 60_000, headers: trace }));
  await queued(nats, 'full', 512);
  const tooMany = startWaiting(nats, 'full', 'one-too-many', { headers: trace });
  expect(denial(await tooMany.answer)).toMatchObject({ code: 'queue_full', waiters: 512, current_owner_id: 'holder' });
  // An owner who waits already is not one more.
  const again = startWaiting(nats, 'full', 'w7', { waitMs: 60_000, headers: trace });
  expect(denial(await (waiters[7] as Waiter).answer).code).toBe('cancelled');
  // Big outcomes beside the places of 512 waiters: 32 refreshes, each of them remembered.
  for (let i = 0; i < 40; i++) lease(await refresh(nats, 'full', 'holder', { ttl: 60_000 + i, headers: trace }));
  const everybody = [...waiters.filter((_, i) => i !== 7), again];
  success(await release(nats, 'full', 'holder', { headers: trace }), 'released');
  await serveAll('full', everybody);
  expectAnsweredOnce([...waiters, again, tooMany]);
});

test('the log of all this is as it must be', () => {
  expect(flawsOf(announced.changes())).toEqual([]);
});
