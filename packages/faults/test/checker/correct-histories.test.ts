// Hunts false alarms: histories of a mesh that behaves, with all that may happen to clients, subscribers and the witness.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import type { Entry } from '../../src/history.ts';
import { simulate } from './support/simulated-mesh.ts';
import { simulateQueue } from './support/simulated-queue.ts';

const size = fc.record({
  commands: fc.integer({ min: 1, max: 250 }),
  clients: fc.integer({ min: 1, max: 8 }),
  entities: fc.integer({ min: 1, max: 4 }),
});
const history = fc.tuple(fc.nat(), size).map(([seed, bounds]) => simulate(seed, bounds));

function expectNoBreach(entries: readonly Entry[]): void {
  const checker = new Checker();
  for (const entry of entries) checker.add(entry);
  expect(checker.finish()).toEqual([]);
}

test('a correct history has no breach', () => {
  fc.assert(
    fc.property(history, (entries) => {
      expectNoBreach(entries);
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['first', (entry: Entry) => (entry.type === 'logged' ? 0 : 1)],
  ['last', (entry: Entry) => (entry.type === 'logged' ? 1 : 0)],
])('nor has one whose log comes in %s', (_, rank) => {
  fc.assert(
    fc.property(history, (entries) => {
      expectNoBreach(entries.toSorted((a, b) => rank(a) - rank(b)));
    }),
    { numRuns: 100 },
  );
});

test('nor has one of durable commands and reactions', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 250 }), fc.boolean(), (seed, commands, isLogFirst) => {
      const entries = simulateQueue(seed, commands);
      const rank = (entry: Entry): number => (entry.type === 'logged' ? 0 : 1);
      expectNoBreach(isLogFirst ? entries.toSorted((a, b) => rank(a) - rank(b)) : entries);
    }),
    { numRuns: 150 },
  );
});

test('the histories hold all that can happen', () => {
  const entries = [1, 2, 3].flatMap((seed) => simulate(seed, { commands: 400, clients: 6, entities: 3 }));
  const kinds = new Set(
    entries.flatMap((entry) => {
      if (entry.type === 'told') return [entry.answer?.kind ?? 'unknown', `single ${entry.single}`];
      if (entry.type === 'logged') return [`${entry.agent} ${entry.event}`];
      return entry.type === 'heard' ? [`heard ${entry.sequence !== undefined}`] : [];
    }),
  );
  const codes = new Set(
    entries.flatMap((entry) => (entry.type === 'told' ? [String(entry.answer?.payload['code'])] : [])),
  );
  expect([...kinds].sort()).toMatchInlineSnapshot(`
    [
      "committed",
      "conflict",
      "denied",
      "heard false",
      "heard true",
      "inventory adjusted",
      "inventory created",
      "inventory deleted",
      "inventory fulfilled",
      "inventory released",
      "inventory reserved",
      "inventory updated",
      "lock acquired",
      "lock expired",
      "lock left",
      "lock queued",
      "lock released",
      "rejected",
      "replayed",
      "single false",
      "single true",
      "unknown",
    ]
  `);
  expect([...codes].sort()).toMatchInlineSnapshot(`
    [
      "already_exists",
      "already_reserved",
      "held",
      "insufficient_stock",
      "not_found",
      "not_held",
      "not_holder",
      "not_waiting",
      "open_reservations",
      "stale_token",
      "undefined",
      "unknown_reservation",
    ]
  `);
});

test('those of durable commands hold all that can happen to them', () => {
  const entries = [1, 2, 3].flatMap((seed) => simulateQueue(seed, 300));
  const kinds = new Set(
    entries.flatMap((entry) => {
      if (entry.type === 'queued') return [entry.as];
      if (entry.type === 'told') return [entry.answer?.kind ?? 'unknown'];
      if (entry.type === 'sent') return [`for later ${entry.durable?.dueMs !== undefined}`];
      return entry.type === 'logged' && entry.causedBy !== undefined ? ['reaction'] : [];
    }),
  );
  const all = ['cancelled', 'kept', 'stored', 'unsure', 'committed', 'conflict', 'rejected', 'unknown', 'reaction'];
  expect([...kinds].toSorted()).toEqual([...all, 'for later false', 'for later true'].toSorted());
});
