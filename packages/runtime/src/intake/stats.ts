import type { StoreOutcome } from '../core/outcome.ts';

type Kind = StoreOutcome['kind'];

/** What an agent tells of one action in `$SRV.STATS`. */
export interface ActionStats {
  outcomes: Partial<Record<Kind, number>>;
  /** From the message's arrival to its answer, in milliseconds. */
  mean_ms: number;
  max_ms: number;
}

interface Counters {
  outcomes: Partial<Record<Kind, number>>;
  count: number;
  totalMs: number;
  maxMs: number;
}

/** Hears of every command that is counted; the action is undefined where the agent does not know it. */
type OnCount = (action: string | undefined, kind: Kind, ms: number) => void;

/** Counts commands by action and outcome; unknown actions count together, so that callers cannot grow it. */
export class CommandStats {
  readonly #actions = new Map<string, Counters>();
  readonly #unknown: Counters = newCounters();
  readonly #onCount: OnCount | undefined;

  constructor(actions: readonly string[], onCount?: OnCount) {
    this.#onCount = onCount;
    for (const action of actions) this.#actions.set(action, newCounters());
  }

  count(action: string, kind: Kind, ms: number): void {
    const own = this.#actions.get(action);
    const counters = own ?? this.#unknown;
    counters.outcomes[kind] = (counters.outcomes[kind] ?? 0) + 1;
    counters.count++;
    counters.totalMs += ms;
    if (ms > counters.maxMs) counters.maxMs = ms;
    this.#onCount?.(own === undefined ? undefined : action, kind, ms);
  }

  of(action: string): ActionStats | undefined {
    const counters = this.#actions.get(action);
    return counters === undefined ? undefined : toStats(counters);
  }

  /** By action; `(unknown)` counts those that the agent does not know. */
  all(): Record<string, ActionStats> {
    const known = [...this.#actions].map(([action, counters]) => [action, toStats(counters)] as const);
    return { ...Object.fromEntries(known), '(unknown)': toStats(this.#unknown) };
  }
}

function newCounters(): Counters {
  return { outcomes: {}, count: 0, totalMs: 0, maxMs: 0 };
}

function toStats({ outcomes, count, totalMs, maxMs }: Counters): ActionStats {
  return { outcomes: { ...outcomes }, mean_ms: round(count === 0 ? 0 : totalMs / count), max_ms: round(maxMs) };
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
