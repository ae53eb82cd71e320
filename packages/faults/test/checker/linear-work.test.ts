// Hunts work that grows faster than the history: counted in steps, for a clock tells of the machine.
import { expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import type { Entry } from '../../src/history.ts';
import { simulate } from './support/simulated-mesh.ts';

function stepsFor(entries: readonly Entry[]): number {
  const checker = new Checker();
  for (const entry of entries) checker.add(entry);
  checker.finish();
  return checker.steps;
}

test.each([
  ['few entities', 2],
  ['many entities', 200],
])('twice the history is twice the work, on %s', (_, entities) => {
  const [once, twice] = [1_500, 3_000].map((commands) => simulate(7, { commands, clients: 12, entities }));
  const growth = (twice?.length ?? 0) / (once?.length ?? 1);
  expect(stepsFor(twice ?? []) / stepsFor(once ?? [])).toBeLessThan(growth * 1.05);
});

test('an entry costs less than three steps', () => {
  const entries = simulate(8, { commands: 3_000, clients: 12, entities: 5 });
  expect(stepsFor(entries) / entries.length).toBeLessThan(3);
});
