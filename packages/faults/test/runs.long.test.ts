// Hunts: runs that find nothing because they do nothing, and runs that end before everything is whole again.
import { expect, test } from 'vitest';
import { Checker } from '../src/checker/checker.ts';
import { LOADS } from '../src/loads/all.ts';
import { runFaults, type RunOptions } from '../src/run.ts';

const options: Omit<RunOptions, 'replicas' | 'only' | 'checker'> = {
  seed: 4,
  minutes: 0.17,
  agents: 2,
  command: 'again',
  signal: new AbortController().signal,
  onLine: () => {},
};

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

test.each([1, 3] as const)(
  'a short run against %i servers does all kinds of work under faults, and finds no breach',
  async (replicas) => {
    const checker = new Checker();
    const report = await runFaults({ ...options, replicas, only, checker });
    expect(report.breaches).toEqual([]);
    const idle = LOADS.filter(({ name }) => (report.loads[name] ?? 0) < 5).map(({ name }) => name);
    expect(idle).toEqual([]);
    const { commands, faults, witness } = report;
    expect(faults.map(({ name }) => name)).toEqual(expect.arrayContaining(['kill-server', 'kill-agent', 'drop-acks']));
    expect(faults.map(({ never }) => never)).toEqual(faults.map(() => 0));
    // Both agents, every outcome, leases that ended, and a checker that was told of it all.
    const kinds = Object.values(commands.outcomes).flatMap((counts) => Object.keys(counts));
    expect(new Set(kinds)).toEqual(new Set(['committed', 'replayed', 'conflict', 'rejected', 'denied', 'unknown']));
    expect(commands.queued.stored).toBeGreaterThan(20);
    expect(commands.queued.cancelled).toBeGreaterThan(0);
    expect(commands.expired).toBeGreaterThan(0);
    expect(commands.committed).toBeGreaterThan(100);
    expect(commands.logged).toBeGreaterThanOrEqual(commands.committed);
    expect(witness.map(({ agent }) => agent)).toEqual(['inventory', 'lock']);
    expect(checker.steps).toBeGreaterThan(commands.sent + commands.answered + commands.logged);
  },
  120_000,
);
