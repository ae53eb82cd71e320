import type { Breach } from '../history.ts';
import type { Happened } from '../schedule/carry-out.ts';
import type { WitnessReport } from '../witness/witness.ts';
import type { Availability, Recovery, Unavailability } from './availability.ts';
import type { Tally } from './tally.ts';

/** What a run found, as plain JSON. */
export interface Report {
  /** To be typed again. */
  readonly command: string;
  readonly seed: number;
  readonly replicas: number;
  readonly agents: number;
  /** Of load. */
  readonly seconds: number;
  readonly commands: CommandReport;
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

export interface CommandReport {
  readonly sent: number;
  readonly answered: number;
  readonly answeredPerSecond: number;
  readonly committed: number;
  readonly committedPerSecond: number;
  /** Sent once and no more, and answered. */
  readonly single: number;
  /** Without a definite answer, by reason. */
  readonly unknown: Readonly<Record<string, number>>;
  /** By agent and action, by outcome. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By their codes. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Commands that might wait for a lock, by what came of them. */
  readonly waiters: Tally['waiters'];
  /** Durable commands, by what became of them before they were executed. */
  readonly queued: Tally['queued'];
  readonly logged: number;
  readonly heard: number;
  /** Leases that the server ended. */
  readonly expired: number;
}

export interface FaultReport extends Recovery {
  readonly name: string;
  readonly injected: number;
}

/** What the report says as the run found it. */
type Carried =
  | 'command'
  | 'seed'
  | 'replicas'
  | 'agents'
  | 'skipped'
  | 'witness'
  | 'failedStarts'
  | 'knownLimits'
  | 'problems'
  | 'breaches';

export interface Findings extends Pick<Report, Carried> {
  readonly loadMs: number;
  readonly tally: Tally;
  readonly turns: ReadonlyMap<string, number>;
  readonly happened: readonly Happened[];
  readonly availability: Availability;
}

export function toReport(findings: Findings): Report {
  const { command, seed, replicas, agents, loadMs, tally, happened, availability } = findings;
  const { sent, answered, committed, single, unknown, outcomes, refusals, waiters, queued, logged, heard, expired } =
    tally;
  const seconds = Math.round(loadMs / 100) / 10;
  const perSecond = (count: number): number => Math.round((count * 1000) / Math.max(1, loadMs));
  const names = [...new Set(happened.map(({ name }) => name))].toSorted();
  return {
    command,
    seed,
    replicas,
    agents,
    seconds,
    commands: {
      sent,
      answered,
      answeredPerSecond: perSecond(answered),
      committed,
      committedPerSecond: perSecond(committed),
      single,
      unknown,
      outcomes,
      refusals,
      waiters,
      queued,
      logged,
      heard,
      expired,
    },
    loads: Object.fromEntries(findings.turns),
    faults: names.map((name) => {
      const own = happened.filter((each) => each.name === name);
      return { name, injected: own.length, ...availability.recovery(own) };
    }),
    skipped: findings.skipped,
    unavailability: availability.unavailability(),
    witness: findings.witness,
    failedStarts: findings.failedStarts,
    knownLimits: findings.knownLimits,
    problems: findings.problems,
    breaches: findings.breaches,
  };
}
