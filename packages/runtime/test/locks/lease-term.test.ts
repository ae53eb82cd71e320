/** Hunts a term that seems longer than what was acknowledged, and a lease that comes back after its end. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  afterRefresh,
  afterTime,
  granted,
  remainingMs,
  type LeaseState,
  type RefreshAnswer,
} from '../../src/client/locks/lease-term.ts';
import type { LeaseLoss } from '../../src/client/locks/types.ts';

const over: LeaseLoss = { cause: 'expired', reason: 'over' };
const refused: RefreshAnswer = { kind: 'ended', loss: { cause: 'refused', reason: 'no' } };
const extended = (sentAt: number, durationMs = 1_000): RefreshAnswer => ({ kind: 'extended', sentAt, durationMs });

describe('a lease', () => {
  test('lasts from when its request was sent, and no longer than asked for', () => {
    const state = granted({ sentAt: 100, durationMs: 1_000 });
    expect(remainingMs(state, 500)).toBeGreaterThan(550);
    expect(remainingMs(state, 500)).toBeLessThanOrEqual(600);
    expect(afterTime(state, 1_050, over)).toBe(state);
    expect(afterTime(state, 1_100, over)).toEqual({ kind: 'lost', loss: over });
    expect(remainingMs(state, 1_100)).toBe(0);
  });

  test('is to be refreshed after a third of its time', () => {
    expect(granted({ sentAt: 100, durationMs: 900 }).refreshAt).toBe(400);
  });

  test('is extended by an acknowledged refresh, from when that was sent', () => {
    const state = afterRefresh(granted({ sentAt: 0, durationMs: 1_000 }), extended(300), 600, over);
    expect(remainingMs(state, 600)).toBeGreaterThan(650);
    expect(remainingMs(state, 600)).toBeLessThanOrEqual(700);
  });

  test('is not shortened by the answer to an older refresh', () => {
    const state = granted({ sentAt: 500, durationMs: 1_000 });
    expect(afterRefresh(state, extended(200), 600, over)).toBe(state);
  });

  test('is as it was when a refresh was not answered, and lost when one was refused', () => {
    const state = granted({ sentAt: 0, durationMs: 1_000 });
    expect(afterRefresh(state, { kind: 'unanswered' }, 600, over)).toBe(state);
    expect(afterRefresh(state, refused, 600, over)).toEqual({ kind: 'lost', loss: { cause: 'refused', reason: 'no' } });
  });

  test('stays lost when its refresh is acknowledged after its end', () => {
    const state = granted({ sentAt: 0, durationMs: 1_000 });
    expect(afterRefresh(state, extended(900), 1_000, over)).toEqual({ kind: 'lost', loss: over });
  });
});

const step = fc.record({
  pass: fc.integer({ min: 0, max: 700 }),
  answer: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('extended' as const), age: fc.integer({ min: 0, max: 900 }) }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: 'unanswered' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'refused' as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'none' as const }) },
  ),
});

test('is never held beyond every acknowledged term, and never again once it was lost, whatever comes when', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const durationMs = 1_000;
      let now = 0;
      let state: LeaseState = granted({ sentAt: 0, durationMs });
      let latestEnd = durationMs;
      let wasLost = false;
      for (const { pass, answer } of steps) {
        now += pass;
        if (answer.kind === 'extended') {
          const sentAt = now - answer.age;
          state = afterRefresh(state, extended(sentAt, durationMs), now, over);
          if (!wasLost && now < latestEnd) latestEnd = Math.max(latestEnd, sentAt + durationMs);
        } else if (answer.kind !== 'none') {
          state = afterRefresh(state, answer.kind === 'refused' ? refused : answer, now, over);
        }
        state = afterTime(state, now, over);
        if (state.kind === 'held') {
          expect(now).toBeLessThan(latestEnd);
          expect(wasLost).toBe(false);
          expect(remainingMs(state, now)).toBeLessThanOrEqual(latestEnd - now);
        } else {
          expect(remainingMs(state, now)).toBe(0);
        }
        wasLost ||= state.kind === 'lost' || answer.kind === 'refused';
      }
    }),
    { numRuns: 2_000 },
  );
});
