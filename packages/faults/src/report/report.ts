import type { Breach } from '../history.ts';
import type { Happened } from '../schedule/carry-out.ts';
import type { WitnessReport } from '../witness/witness.ts';
import type { Availability, Recovery, Unavailability } from './availability.ts';
import type { Counts, Tally } from './tally.ts';

/** What a run found, as plain JSON. */
export interface Report {
  /** To be typed again. */
  readonly command: string;
  readonly seed: number;
  readonly replicas: number;
  readonly agents: number;
  /** Of load. */
  readonly seconds: number;
  readonly commands: Counts & { readonly answeredPerSecond: number; readonly committedPerSecond: number };
  /** Turns that each load has finished. */
  readonly loads: Readonly<Record<string, number>>;
  readonly faults: readonly FaultReport[];
  /** Injections that the mesh did not take, such as a limit on a stream without leader. */
  readonly skipped: readonly string[];
  readonly unavailability: Unavailability;
  readonly witness: readonly WitnessReport[];
  /** Agents that gave up before they had served, as they may while JetStream is away, and were started again. */
  readonly failedStarts: number;
  /** What may happen by design, though nobody wishes for it. */
  readonly knownLimits: Readonly<Record<string, number>>;
  /** What kept the harness from judging all of the history. */
  readonly problems: readonly string[];
  readonly breaches: readonly Breach[];
}

export interface FaultReport extends Recovery {
  readonly name: string;
  readonly injected: number;
}

export interface Findings extends Omit<Report, 'seconds' | 'commands' | 'loads' | 'faults' | 'unavailability'> {
  readonly loadMs: number;
  readonly tally: Tally;
  readonly turns: ReadonlyMap<string, number>;
  readonly happened: readonly Happened[];
  readonly availability: Availability;
}

export function toReport({ loadMs, tally, turns, happened, availability, ...found }: Findings): Report {
  const { counts } = tally;
  const perSecond = (count: number): number => Math.round((count * 1000) / Math.max(1, loadMs));
  const names = [...new Set(happened.map(({ name }) => name))].toSorted();
  return {
    ...found,
    seconds: Math.round(loadMs / 100) / 10,
    commands: {
      ...counts,
      answeredPerSecond: perSecond(counts.answered),
      committedPerSecond: perSecond(counts.committed),
    },
    loads: Object.fromEntries(turns),
    faults: names.map((name) => {
      const own = happened.filter((each) => each.name === name);
      return { name, injected: own.length, ...availability.recovery(own) };
    }),
    unavailability: availability.unavailability(),
  };
}
