import type { OnProgress } from '@meshforge/processes';
import type { CommandLine } from './command-line.ts';
import { judgeGoals } from './goals.ts';
import { LOADS } from './loads/index.ts';
import type { Load } from './loads/load.ts';
import { conduct } from './run/conduct.ts';
import { describeMachine } from './run/machine.ts';
import type { LoadResult, RunResult } from './run/result.ts';
import { SharedServers } from './run/shared-servers.ts';

const SHORT = { rounds: 3, sliceMs: 500 };
const FULL = { rounds: 4, sliceMs: 1_000 };
const warmUpMs = 300;

export interface BenchmarkOptions extends Pick<CommandLine, 'full' | 'only' | 'rounds' | 'sliceMs'> {
  /** For the results: how to run it again. */
  readonly command: string;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** Runs the loads one after another, each with servers of its own. Throws when there is nothing to run. */
export async function runBenchmark(options: BenchmarkOptions): Promise<RunResult> {
  const { full, only, command, signal, onProgress } = options;
  const loads = chosen(full, only);
  const defaults = full ? FULL : SHORT;
  const settings = { rounds: options.rounds ?? defaults.rounds, sliceMs: options.sliceMs ?? defaults.sliceMs };
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const results: LoadResult[] = [];
  for (const load of loads) {
    const host = new SharedServers(onProgress);
    const concurrency = full ? load.concurrency.full : load.concurrency.short;
    try {
      results.push(await conduct(load, host, { ...settings, concurrency, warmUpMs, signal, onProgress }));
    } finally {
      await host.stop();
    }
  }
  return { startedAt, command, machine, settings, loads: results, goals: judgeGoals(results) };
}

function chosen(full: boolean, only: readonly string[]): Load[] {
  const wanted = (load: string, id: string): boolean =>
    only.length === 0 || only.some((part) => `${load}/${id}`.includes(part));
  const loads = LOADS.map((load) => ({
    ...load,
    participants: load.participants.filter(({ id, onlyFull }) => (full || onlyFull !== true) && wanted(load.id, id)),
  })).filter(({ participants }) => participants.length > 0);
  if (loads.length > 0) return loads;
  const known = LOADS.flatMap(({ id, participants }) => participants.map((each) => `${id}/${each.id}`));
  throw new Error(`nothing to measure: --only ${only.join(',')} is part of none of ${known.join(', ')}`);
}
