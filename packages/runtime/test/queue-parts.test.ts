/** Hunts work that overtakes, that waits for nothing, or that is tried for ever. */
import type { Msg } from '@nats-io/nats-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from '../src/clock.ts';
import { readDelivery } from '../src/queue/delivery.ts';
import { Lanes } from '../src/queue/lanes.ts';
import { DEFAULT_RETRY, nextPause } from '../src/queue/retry-policy.ts';
import { Tenure } from '../src/queue/tenure.ts';

const pause = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('work of one key is done in order, whatever rests; other keys go on; never more at once than may', async () => {
  const piece = fc.record({ key: fc.constantFrom('a', 'b', 'c'), tries: fc.integer({ min: 1, max: 4 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), async (pieces, most) => {
      const lanes = new Lanes(most);
      const ended: number[] = [];
      let running = 0;
      let highest = 0;
      await Promise.all(
        pieces.map(({ key, tries }, index) =>
          lanes.add(key, async (lane) => {
            for (let i = 1; i <= tries; i++) {
              await lane.attempt(async () => {
                highest = Math.max(highest, ++running);
                await pause();
                running--;
              });
              if (i < tries) await lane.rest(pause);
            }
            ended.push(index);
          }),
        ),
      );
      expect(highest).toBeLessThanOrEqual(most);
      expect(lanes.size + lanes.resting).toBe(0);
      for (const key of ['a', 'b', 'c']) {
        const own = ended.filter((index) => pieces[index]?.key === key);
        expect(own).toEqual(own.toSorted((one, other) => one - other));
      }
      expect(ended).toHaveLength(pieces.length);
    }),
    { numRuns: 200 },
  );
});

test('a lane that rests is counted whole, and takes nobody’s place', async () => {
  const lanes = new Lanes(1);
  let wake = (): void => {};
  const resting = lanes.add('sick', (lane) => lane.rest(() => new Promise<void>((resolve) => (wake = resolve))));
  const behind = lanes.add('sick', async () => {});
  await lanes.add('well', (lane) => lane.attempt(pause));
  expect({ size: lanes.size, resting: lanes.resting }).toEqual({ size: 2, resting: 2 });
  wake();
  await Promise.all([resting, behind]);
  expect({ size: lanes.size, resting: lanes.resting }).toEqual({ size: 0, resting: 0 });
});

const clockAt = (now: { ms: number }, random = 0.5): Clock => ({
  wall: () => now.ms,
  monotonic: () => now.ms,
  sleep: (ms) => {
    now.ms += ms;
    return Promise.resolve();
  },
  random: () => random,
});

test('pauses grow to their bound, with jitter, and end with count or age', () => {
  const next = (state: { tries: number; counted: number; ageMs: number }, random = 1): number | undefined =>
    nextPause(DEFAULT_RETRY, clockAt({ ms: 0 }, random), state);
  const pauses = Array.from({ length: 14 }, (_, i) => next({ tries: i + 1, counted: i + 1, ageMs: 0 }));
  expect(pauses.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
  expect(pauses.at(-1)).toBe(30_000);
  expect(next({ tries: 3, counted: 3, ageMs: 0 }, 0)).toBe(500);
  expect(next({ tries: 15, counted: 15, ageMs: 0 })).toBeUndefined();
  // An outage counts for nothing but the age.
  expect(next({ tries: 1_000, counted: 0, ageMs: 80_000_000 })).toBe(30_000);
  expect(next({ tries: 1_000, counted: 0, ageMs: 86_400_000 })).toBeUndefined();
  // However old it is, it is tried.
  expect(next({ tries: 2, counted: 2, ageMs: 1e12 })).toBe(500);
  expect(next({ tries: 3, counted: 3, ageMs: 1e12 })).toBeUndefined();
});

test('a delivery tells when its message was stored to the very millisecond, as the stream does', () => {
  // The nearest number to each is in another millisecond.
  for (const [nanoseconds, milliseconds] of [
    ['1767268800419999999', 1_767_268_800_419],
    ['1767268800420000005', 1_767_268_800_420],
  ] as const) {
    const reply = `$JS.ACK.S.c.1.7.3.${nanoseconds}.0`;
    const read = readDelivery({ subject: 's.x', reply, data: new Uint8Array() } as unknown as Msg);
    expect(read?.message.storedAt).toBe(milliseconds);
  }
});

test('a tenure holds only as long as it is confirmed, comes back when it is again, and never after its end', async () => {
  const now = { ms: 0 };
  const tenure = new Tenure('pin', clockAt(now), 1_000);
  expect(tenure.isCurrent()).toBe(true);
  now.ms = 1_000;
  expect(tenure.isCurrent()).toBe(false);
  tenure.extend(900);
  expect(tenure.isCurrent()).toBe(false);
  const certain = tenure.certain();
  tenure.extend(2_000);
  expect(await certain).toBe(true);
  tenure.end();
  expect(tenure.isCurrent()).toBe(false);
  expect(await tenure.certain()).toBe(false);
  expect(tenure.over.aborted).toBe(true);
});
