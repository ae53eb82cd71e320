import type { StoreOutcome } from '../store/outcome.ts';

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

/** Counts commands by action and outcome; unknown actions count together, so that callers cannot grow it. */
export class CommandStats {
  readonly #actions = new Map<string, Counters>();

  constructor(actions: readonly string[]) {
    for (const action of [...actions, UNKNOWN]) {
      this.#actions.set(action, { outcomes: {}, count: 0, totalMs: 0, maxMs: 0 });
    }
  }

  count(action: string, kind: Kind, ms: number): void {
    const counters = this.#actions.get(action) ?? (this.#actions.get(UNKNOWN) as Counters);
    counters.outcomes[kind] = (counters.outcomes[kind] ?? 0) + 1;
    counters.count++;
    counters.totalMs += ms;
    if (ms > counters.maxMs) counters.maxMs = ms;
  }

  of(action: string): ActionStats | undefined {
    const counters = this.#actions.get(action);
    if (counters === undefined) return undefined;
    const mean = counters.count === 0 ? 0 : counters.totalMs / counters.count;
    return { outcomes: { ...counters.outcomes }, mean_ms: round(mean), max_ms: round(counters.maxMs) };
  }

  all(): Record<string, ActionStats> {
    return Object.fromEntries([...this.#actions.keys()].map((action) => [action, this.of(action) as ActionStats]));
  }
}

const UNKNOWN = '(unknown)';

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
