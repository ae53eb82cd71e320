import type { Slice } from './messages.ts';
import type { Measurement } from './result.ts';

/** One slice and the processor time that it took in all, where that is known. */
export interface MeasuredSlice {
  readonly slice: Slice;
  readonly cpuMs: number | undefined;
}

/** The rounds of one contender at one concurrency, as one measurement. */
export function summarize(concurrency: number, slices: readonly MeasuredSlice[]): Measurement {
  const latencies = slices.flatMap(({ slice }) => slice.latenciesUs).toSorted((a, b) => a - b);
  const elapsedMs = sum(slices.map(({ slice }) => slice.elapsedMs));
  const operations = latencies.length;
  const cpu = slices.map(({ cpuMs }) => cpuMs);
  const turns = slices.flatMap(({ slice }) => slice.turns ?? []);
  const messages = slices.flatMap(({ slice }) => slice.messages ?? []);
  const executed = slices.flatMap(({ slice }) => slice.executed ?? []);
  const failure = slices.find(({ slice }) => slice.failure !== undefined)?.slice.failure;
  return {
    concurrency,
    operations,
    perSecond: elapsedMs === 0 ? 0 : (sum(slices.map(({ slice }) => counted(slice))) * 1000) / elapsedMs,
    perSecondByRound: slices.map(({ slice }) => (counted(slice) * 1000) / slice.elapsedMs),
    p50Ms: percentile(latencies, 0.5) / 1000,
    p99Ms: percentile(latencies, 0.99) / 1000,
    ...(cpu.every((each) => each !== undefined) && operations > 0 ? { cpuUs: (sum(cpu) * 1000) / operations } : {}),
    ...(turns.length > 0 && elapsedMs > 0
      ? {
          handoversPerSecond: (sum(turns.map(({ handovers }) => handovers)) * 1000) / elapsedMs,
          mostPerMean: sum(turns.map(({ mostPerMean }) => mostPerMean)) / turns.length,
        }
      : {}),
    ...(messages.length > 0 && operations > 0 ? { messages: sum(messages) / operations } : {}),
    ...(executed.length > 0
      ? {
          executedPerSecond:
            (sum(executed.map(({ jobs }) => jobs)) * 1000) / sum(executed.map((each) => each.elapsedMs)),
        }
      : {}),
    failures: sum(slices.map(({ slice }) => slice.failures)),
    ...(failure === undefined ? {} : { failure }),
  };
}

function counted({ turns, latenciesUs }: Slice): number {
  return turns?.operations ?? latenciesUs.length;
}

/** The smallest value that so large a part of the values does not exceed; 0 where there are none. */
function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
