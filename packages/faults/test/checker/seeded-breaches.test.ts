// Hunts a checker that sees nothing: correct histories, each spoiled in one way, at any place. The breach has to be found under
// the name of the invariant that was broken, and has to show the entries that contradict each other and hardly any other.
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import type { Breach, Entry } from '../../src/history.ts';
import { MUTATIONS } from './support/mutations.ts';
import { simulate as simulateMesh } from './support/simulated-mesh.ts';
import { View } from './support/view.ts';

/** Entries that show a breach. */
const A_HANDFUL = 5;

function breachesOf(entries: readonly Entry[]): readonly Breach[] {
  const checker = new Checker();
  for (const entry of entries) checker.add(entry);
  return checker.finish();
}

function shows({ history }: Breach, culprits: readonly Entry[]): boolean {
  return culprits.every((culprit) => history.some((entry) => isDeepStrictEqual(entry, culprit)));
}

function simulateRequests(seed: number, commands: number): Entry[] {
  return simulateMesh(seed, { commands, clients: 5, entities: 2 });
}

const mutations = MUTATIONS.map((mutation) => [mutation.invariant, mutation.name, mutation] as const);

test.each(mutations)('%s: %s', (invariant, _, { simulate = simulateRequests, spoil }) => {
  let found = 0;
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.integer({ min: 40, max: 150 }), (seed, place, commands) => {
      const view = new View(simulate(seed, commands));
      const spoiled = spoil(view, (candidates) => candidates[place % candidates.length]);
      fc.pre(spoiled !== undefined);
      const { entries, culprits } = spoiled;
      const breaches = breachesOf(entries);
      const named = breaches.filter((breach) => breach.invariant === invariant);
      const shown = named.find((breach) => shows(breach, culprits));
      expect(shown, `${JSON.stringify(culprits, null, 1)} in ${JSON.stringify(breaches, null, 1)}`).toBeDefined();
      expect(shown?.history.length).toBeLessThanOrEqual(A_HANDFUL);
      found++;
    }),
    { numRuns: 25, maxSkipsPerRun: 60 },
  );
  expect(found).toBeGreaterThan(0);
});
