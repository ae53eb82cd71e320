/**
 * Hunts what a lossy server can make of the store: double commits, gaps, lost acknowledgements, refusals of commands that then
 * commit after all, durable commands that are decided twice, leases that a stale expiry wipes. Several stores (replicas) share
 * one simulated stream; every fault is drawn by fast-check, so a failing run prints the shortest one that fails.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RequestPort } from '../src/nats/requester.ts';
import { SimulatedStream, type Fault } from './simulated-stream.ts';
import {
  anyDrawn,
  anyFaults,
  commandOf,
  drawnFaults,
  newStore,
  runHistory,
  type Made,
} from './support/store-history.ts';
import { expectLawful } from './support/store-laws.ts';

const NO_FAULT = (): 'none' => 'none';

test('whatever the server loses, delays or refuses, the log is exact and answers are true (I1, I2, I5, I7)', async () => {
  await fc.assert(
    fc.asyncProperty(anyDrawn, async (drawn) => {
      await expectLawful(drawn, await runHistory(drawn));
    }),
    { numRuns: 800 },
  );
});

describe('an entity', () => {
  const made = (id: string, more: Partial<Made> = {}): Made => ({ id, entityId: 'a', action: 'add', by: 1, ...more });
  const create = made('create', { action: 'create' });

  test('I3: of commands that expect the same version, one commits and the others conflict', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(2), { minLength: 2, maxLength: 12 }),
        anyFaults,
        fc.boolean(),
        async (at, list, isReplicated) => {
          const stream = new SimulatedStream(drawnFaults(list), isReplicated);
          const stores = [0, 1, 2].map(() => newStore(stream, { isReplicated }));
          const created = await stores[0]?.execute(commandOf(create));
          // With enough faults even the creation is given up; then there is nothing to contend for.
          fc.pre(created?.kind === 'committed' || created?.kind === 'replayed');
          const outcomes = await Promise.all(
            at.map((store, i) =>
              (stores[store] as (typeof stores)[0]).execute(commandOf(made(String(i), { expectedVersion: 1 }))),
            ),
          );
          stream.settle();
          const kinds = outcomes.map(({ kind }) => kind);
          const commits = kinds.filter((kind) => kind === 'committed' || kind === 'replayed').length;
          expect(stream.messages.length).toBe(1 + commits);
          expect(commits).toBeLessThanOrEqual(1);
          if (!kinds.includes('unavailable')) expect(commits).toBe(1);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('I4: whose commit hangs keeps no other waiting', async () => {
    let release: (() => void) | undefined;
    const stream = new SimulatedStream(NO_FAULT, false);
    const hanging = {
      request: async (...request: Parameters<SimulatedStream['request']>) => {
        if (request[0].startsWith('ent.counter.a.')) await new Promise<void>((resolve) => (release = resolve));
        return stream.request(...request);
      },
    } as SimulatedStream;
    const store = newStore(hanging);
    const slow = store.execute(commandOf(create));
    expect((await store.execute(commandOf({ ...create, id: 'other', entityId: 'b' }))).kind).toBe('committed');
    release?.();
    expect((await slow).kind).toBe('committed');
  });

  test('has in a conflict the version that it is at, not one that a replica remembers', async () => {
    const stream = new SimulatedStream(NO_FAULT, false);
    const [one, other] = [newStore(stream), newStore(stream)] as const;
    await one.execute(commandOf(create));
    await one.execute(commandOf(made('2')));
    await other.execute(commandOf(made('3')));
    const outcome = await one.execute(commandOf(made('4', { expectedVersion: 1 })));
    expect(outcome).toMatchObject({ kind: 'conflict', payload: expect.stringContaining('"current_version":3') });
  });

  test('is read once for 64 commands at once that lose to one', async () => {
    let reads = 0;
    const stream = new SimulatedStream((kind) => {
      if (kind === 'read') reads++;
      return 'none';
    }, false);
    const store = newStore(stream);
    await store.execute(commandOf(create));
    reads = 0;
    const outcomes = await Promise.all(
      Array.from({ length: 64 }, (_, i) => store.execute(commandOf(made(String(i), { expectedVersion: 1 })))),
    );
    expect(outcomes.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === 'conflict')).toHaveLength(63);
    expect(reads).toBeLessThanOrEqual(1);
  });

  test('refuses nothing on a memory that another replica may have made old', async () => {
    const stream = new SimulatedStream(NO_FAULT, false);
    const [one, other] = [newStore(stream), newStore(stream)] as const;
    await one.execute(commandOf(create));
    await other.execute(commandOf(made('2', { by: 5 })));
    expect((await one.execute(commandOf(made('3', { by: -3 })))).kind).toBe('committed');
    await other.execute(commandOf(made('4', { action: 'delete' })));
    const again = made('5', { action: 'create', expectedVersion: 0 });
    expect((await one.execute(commandOf(again))).kind).toBe('committed');
  });

  test('I2: refuses nothing while a publish is on its way behind an expiry, which the server writes unguarded', async () => {
    const time = { now: 1_000_000 };
    const faults: Fault[] = ['none', 'proposed'];
    const stream = new SimulatedStream((kind) => (kind === 'publish' ? (faults.shift() ?? 'none') : 'none'), true, {
      now: () => time.now,
      nextFire: () => 100,
    });
    const store = newStore(stream, { isReplicated: true, time });
    await store.execute(commandOf(made('1', { action: 'hold', by: 0 })));
    time.now += 400;
    // The leader takes it in behind the expiry, and nobody answers. Until it is stored, the log says that nobody holds it.
    const outcome = await store.execute(commandOf(made('2', { action: 'drop' })));
    expect(stream.history.map(({ subject }) => subject.split('.').at(-1))).toEqual(['holding', 'expired', 'dropped']);
    expect(outcome.kind).toBe('replayed');
  });

  test('is read again after the end of a lease that a commit has left alone, and came behind', async () => {
    const time = { now: 1_000_000 };
    const faults: Fault[] = ['none', 'behind'];
    const stream = new SimulatedStream((kind) => (kind === 'publish' ? (faults.shift() ?? 'none') : 'none'), true, {
      now: () => time.now,
      nextFire: () => 100,
    });
    const store = newStore(stream, { isReplicated: true, time });
    await store.execute(commandOf(made('1', { action: 'hold', by: 0 })));
    time.now += 400;
    await store.execute(commandOf(made('2', { action: 'note' })));
    expect(stream.history.map(({ subject }) => subject.split('.').at(-1))).toEqual(['holding', 'expired', 'noted']);
    const outcome = await store.execute(commandOf(made('3', { action: 'drop' })));
    expect(outcome).toMatchObject({ kind: 'rejected', code: 'not_held' });
  });

  test('I2: refuses nothing on the word of a server that leads no more', async () => {
    const stream = new SimulatedStream(NO_FAULT, true);
    const past = new SimulatedStream(NO_FAULT, true);
    let staleReads = 0;
    const partitioned: RequestPort = {
      request: (subject, payload, headers) =>
        (subject.startsWith('$JS.') && staleReads-- > 0 ? past : stream).request(subject, payload, headers),
      requestBatch: (subject, payload) => stream.requestBatch(subject, payload),
    };
    const [store, other] = [newStore(partitioned, { isReplicated: true }), newStore(stream, { isReplicated: true })];
    await store.execute(commandOf(create));
    await store.execute(commandOf(made('2', { action: 'delete' })));
    await other.execute(commandOf(made('3', { action: 'create' })));
    past.messages.push(...stream.messages);
    await other.execute(commandOf(made('4', { action: 'delete' })));
    // Its memory is older still. But its publish is told how far the log has come, and what lies before that is no answer.
    staleReads = 2;
    expect((await store.execute(commandOf(made('5', { action: 'create' })))).kind).toBe('committed');
    staleReads = 2;
    await other.execute(commandOf(made('6', { by: 5 })));
    expect((await store.execute(commandOf(made('7', { by: -3 })))).kind).toBe('committed');
    expect(staleReads).toBeLessThan(1);
  });
});
