/** Hunts a queue that parts ways with a plain list of names: places lost, doubled, out of order, or too long for a header. */
import { LIMITS, LOCK_LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dequeue,
  enqueue,
  isFull,
  keyOf,
  positionOf,
  readQueue,
  writeQueue,
  type Queue,
} from '../src/waiting/queue.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');

const owner = fc.constantFrom('ann', 'bob', 'cy', 'dee', 'eve');
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('come' as const), owner, ago: fc.nat(50), wait: fc.nat(300) }),
  },
  fc.record({ kind: fc.constant('go' as const), owner }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(120) }),
);

interface Waiting {
  owner: string;
  since: number;
  until: number;
  asked: number;
}

test('a queue is the list of those who wait, by when they came', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      let now = NOON;
      let notes = '';
      let model: Waiting[] = [];
      for (const each of steps) {
        if (each.kind === 'pass') now += each.ms;
        let queue: Queue = readQueue(notes, now);
        model = model.filter(({ until }) => until > now);
        if (each.kind === 'come') {
          const times = { since: now - each.ago, until: now + each.wait };
          queue = enqueue(queue, each.owner, times);
          const before = model.find((waiting) => waiting.owner === each.owner);
          const since = Math.min(times.since, before?.since ?? times.since);
          model = model.filter((waiting) => waiting !== before);
          const behind = model.filter((waiting) => waiting.since <= since).length;
          model.splice(behind, 0, { owner: each.owner, since, until: times.until, asked: times.since });
        } else if (each.kind === 'go') {
          queue = dequeue(queue, each.owner);
          model = model.filter((waiting) => waiting.owner !== each.owner);
        }
        notes = writeQueue(queue);
        expect(queue).toEqual(model.map(({ owner: name, ...times }) => ({ key: keyOf(name), ...times })));
        expect(readQueue(notes, 0)).toEqual(queue);
        for (const name of ['ann', 'bob', 'nobody']) {
          expect(positionOf(queue, name)).toBe(model.findIndex((waiting) => waiting.owner === name) + 1);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('as many as may wait fit into the notes, for centuries', () => {
  let queue: Queue = [];
  const since = Date.parse('2300-01-01T00:00:00.000Z');
  for (let i = 0; i < LOCK_LIMITS.maxWaiters; i++) {
    expect(isFull(queue)).toBe(false);
    queue = enqueue(queue, `owner-${i}`, { since, until: since + LOCK_LIMITS.maxWaitMs });
  }
  expect(isFull(queue)).toBe(true);
  expect(writeQueue(queue).length).toBeLessThanOrEqual(LIMITS.noteBytes);
});
