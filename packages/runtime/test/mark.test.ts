// Hunts: a durable command that the mark of its entity takes for decided, although it is another stream's; or for new, although it
// was decided.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isMarked, markAfter, NO_PLACE, type QueuePlace } from '../src/core/entity.ts';

/** Commands in the order of one stream. A new leader's clock may be behind that of the former. */
const queue = fc
  .array(fc.record({ gap: fc.integer({ min: 1, max: 3 }), later: fc.integer({ min: -50, max: 50 }) }), {
    minLength: 1,
    maxLength: 30,
  })
  .map((steps) => {
    let place: QueuePlace = { sequence: 1_000, storedAt: 1_000_000 };
    return steps.map(({ gap, later }) => {
      place = { sequence: place.sequence + gap, storedAt: place.storedAt + later };
      return place;
    });
  });

const decideAll = (places: readonly QueuePlace[], mark = NO_PLACE): QueuePlace => places.reduce(markAfter, mark);

test('of one queue, exactly what was decided is marked, whatever the clocks of its leaders show', () => {
  fc.assert(
    fc.property(queue, fc.nat(), (places, at) => {
      const decided = places.slice(0, at % (places.length + 1));
      const mark = decideAll(decided);
      expect(places.filter((place) => isMarked(place, mark))).toEqual(decided);
    }),
  );
});

test('a queue that was restored or recreated is decided from its first new command on, at any sequence', () => {
  fc.assert(
    fc.property(queue, queue, fc.integer({ min: 1, max: 1_100 }), (before, after, first) => {
      const mark = decideAll(before);
      // Several may be stored in one millisecond.
      const places = after.map((_, index) => ({
        sequence: first + index,
        storedAt: mark.storedAt + 1 + Math.floor(index / 7),
      }));
      for (let decided = 0; decided < places.length; decided++) {
        const now = decideAll(places.slice(0, decided), mark);
        expect(places.map((place) => isMarked(place, now))).toEqual(places.map((_, index) => index < decided));
      }
    }),
  );
});

test('what a restored queue still holds of before is decided', () => {
  const before = [1, 2, 3, 4, 5].map((n) => ({ sequence: n, storedAt: 100 + n }));
  const mark = decideAll(before);
  expect(before.every((place) => isMarked(place, mark))).toBe(true);
  // The backup held the first three.
  const next = { sequence: 4, storedAt: 200 };
  expect(isMarked(next, mark)).toBe(false);
  const after = markAfter(mark, next);
  expect(before.slice(0, 3).every((place) => isMarked(place, after))).toBe(true);
});
