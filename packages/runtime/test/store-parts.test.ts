/** Hunts unbounded caches, turns taken out of order, and time that the wall clock can bend. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_ENTITY } from '../src/core/entity.ts';
import { ServerClock } from '../src/nats/server-clock.ts';
import { EntityCache, type KnownEntity } from '../src/store/entity-cache.ts';
import { KeyedMutex } from '../src/store/keyed-mutex.ts';

const entity = (bytes: number): KnownEntity => ({ entity: { ...NO_ENTITY, version: 1, bytes }, asOf: 0 });

describe('the cache', () => {
  test('never exceeds its bounds, counts its bytes exactly, and gives back what was put in', () => {
    const puts = fc.array(fc.tuple(fc.nat(20).map(String), fc.nat(50), fc.constantFrom('set', 'delete')));
    fc.assert(
      fc.property(puts, fc.nat(10), fc.nat(200), (operations, entities, bytes) => {
        const cache = new EntityCache({ entities, bytes });
        const model = new Map<string, KnownEntity>();
        for (const [key, size, operation] of operations) {
          if (operation === 'set') {
            cache.set(key, entity(size));
            model.set(key, entity(size));
          } else {
            cache.delete(key);
            model.delete(key);
          }
          expect(cache.size).toBeLessThanOrEqual(entities);
          expect(cache.bytes).toBeLessThanOrEqual(bytes);
        }
        let sum = 0;
        let found = 0;
        for (const [key, value] of model) {
          const cached = cache.get(key);
          if (cached === undefined) continue;
          expect(cached).toEqual(value);
          sum += cached.entity.bytes;
          found++;
        }
        expect([cache.bytes, cache.size]).toEqual([sum, found]);
      }),
    );
  });

  test('keeps what is used', () => {
    const cache = new EntityCache({ entities: 2, bytes: 100 });
    cache.set('a', entity(1));
    cache.set('b', entity(1));
    cache.get('a');
    cache.set('c', entity(1));
    expect([cache.get('a'), cache.get('b')].map((cached) => cached !== undefined)).toEqual([true, false]);
  });
});

describe('the mutex of each key', () => {
  test('I4: work on one key is done one by one in order of arrival, also after a failure; other keys do not wait', async () => {
    const mutex = new KeyedMutex();
    const done: string[] = [];
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const first = mutex.run('a', async () => {
      await gate;
      done.push('a1');
      throw new Error('fails');
    });
    const second = mutex.run('a', async () => done.push('a2'));
    await mutex.run('b', async () => done.push('b'));
    open();
    await expect(first).rejects.toThrow('fails');
    await second;
    expect(done).toEqual(['b', 'a1', 'a2']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(mutex.size).toBe(0);
  });
});

describe("the server's clock", () => {
  test('is known to within half a round trip, and jumps of the wall clock do not move it', async () => {
    let wall = 1_000_000;
    let monotonic = 50;
    const serverAhead = 7_777;
    const clock = { wall: () => wall, monotonic: () => monotonic, sleep: async () => {}, random: () => 0 };
    const roundTrips = [40, 10, 90];
    const server = new ServerClock(clock, async () => {
      const roundTrip = roundTrips.shift() ?? 0;
      monotonic += roundTrip;
      return new Date(1_000_000 + monotonic - 50 + serverAhead - roundTrip / 4).toISOString();
    });
    await server.measure();
    const real = (): number => 1_000_000 + monotonic - 50 + serverAhead;
    expect(Math.abs(server.now() - real())).toBeLessThanOrEqual(5);
    wall += 3_600_000;
    monotonic += 1_000;
    expect(Math.abs(server.now() - real())).toBeLessThanOrEqual(5);
  });
});
