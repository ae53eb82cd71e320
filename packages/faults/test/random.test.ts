// Hunts: a seed that does not repeat, and draws that are not what they say.
import { expect, test } from 'vitest';
import { Random } from '../src/random.ts';

function draws(random: Random, count = 1_000): number[] {
  return Array.from({ length: count }, () => random.next());
}

test('a seed repeats, and another one draws something else', () => {
  expect(draws(new Random(7))).toEqual(draws(new Random(7)));
  expect(draws(new Random(7))).not.toEqual(draws(new Random(8)));
});

test('numbers are spread over their range, both ends included', () => {
  const random = new Random(1);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < 10_000; draw++) {
    const number = random.int(-2, 2);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  expect([...counts.keys()].toSorted((left, right) => left - right)).toEqual([-2, -1, 0, 1, 2]);
  for (const count of counts.values()) expect(count).toBeGreaterThan(1_800);
});

test('what is drawn from a fork changes nothing for the other one', () => {
  const one = new Random(3);
  const other = new Random(3);
  draws(one.fork('a'));
  expect(draws(one)).toEqual(draws(other));
  expect(draws(new Random(3).fork('a'))).not.toEqual(draws(new Random(3).fork('b')));
});

test('some of a list are in its order, and never none', () => {
  const random = new Random(5);
  for (let draw = 0; draw < 100; draw++) {
    const some = random.some([1, 2, 3]);
    expect(some.length).toBeGreaterThan(0);
    expect(some).toEqual(some.toSorted((left, right) => left - right));
  }
});
