// Hunts: runs that find nothing because they do nothing, and runs that end before everything is whole again.
import { expect, test } from 'vitest';
import { Checker } from '../src/checker/checker.ts';
import { LOADS } from '../src/loads/all.ts';
import type { Counts } from '../src/report/tally.ts';
import { runFaults, type RunOptions } from '../src/run.ts';

const options: Omit<RunOptions, 'replicas' | 'only' | 'checker' | 'isEnough'> = {
  seed: 4,
  minutes: 0.17,
  agents: 2,
  command: 'again',
  signal: new AbortController().signal,
  onLine: () => {},
};

/** Every outcome that is no fault's. */
const KINDS = ['committed', 'replayed', 'conflict', 'rejected', 'denied'];

/** Leaders that are cut off in the middle of a lease are left to longer runs, which say what came of it. */
const only = [
  'kill-server',
  'kill-agent',
  'freeze-agent',
  'jump-agent-clock',
  'drop-acks',
  'cut-connections',
  'full-stream',
];

/** So that a machine with little time to give does all of it as well, only later. */
function isEnough(turns: ReadonlyMap<string, number>, { outcomes, queued, expired, committed }: Counts): boolean {
  const kinds = new Set(Object.values(outcomes).flatMap((counts) => Object.keys(counts)));
  return (
    LOADS.every(({ name }) => (turns.get(name) ?? 0) >= 5) &&
    KINDS.every((kind) => kinds.has(kind)) &&
    queued.stored > 20 &&
    queued.cancelled > 0 &&
    expired > 0 &&
    committed > 100
  );
}

test.each([1, 3] as const)(
  'a short run against %i servers does all kinds of work under faults, and finds no breach',
  async (replicas) => {
    const checker = new Checker();
    const report = await runFaults({ ...options, replicas, only, checker, isEnough });
    expect(report.breaches).toEqual([]);
    const { commands, faults, witness } = report;
    expect(faults.map(({ name }) => name)).toEqual(expect.arrayContaining(['kill-server', 'kill-agent', 'drop-acks']));
    expect(faults.map(({ never }) => never)).toEqual(faults.map(() => 0));
    // A checker that was told of it all.
    expect(commands.logged).toBeGreaterThanOrEqual(commands.committed);
    expect(witness.map(({ agent }) => agent)).toEqual(['inventory', 'lock']);
    expect(checker.steps).toBeGreaterThan(commands.sent + commands.answered + commands.logged);
  },
  600_000,
);
