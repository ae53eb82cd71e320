import { parseSubject } from '@meshforge/protocol';
import { firstIndex } from '../checker/records.ts';
import type { Entry } from '../history.ts';
import type { Listener } from '../recorder.ts';
import type { Happened } from '../schedule/carry-out.ts';

/** Times without any commit, while there was load. */
export interface Unavailability {
  readonly gaps: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

/** By kind of fault, in milliseconds. */
export interface Recovery {
  /** From the heal, or the injection where nothing had to be healed, to the first commit of every agent after it. */
  readonly afterHealMs: Quantiles | undefined;
  /** Faults after which some agent committed nothing any more. */
  readonly never: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Shorter pauses are no news. */
const shortestGapMs = 1_000;

/** When which agent committed, as clients were told and subscribers heard, from the beginning of a run on. */
export class Availability implements Listener {
  /** By agent, in milliseconds. */
  readonly #commits: Map<string, number[]>;
  readonly #gaps: number[] = [];
  #lastAnyMs = 0;

  constructor(agents: readonly string[]) {
    this.#commits = new Map(agents.map((agent) => [agent, []]));
  }

  entry(entry: Entry, atMs: number): void {
    // Leases end by themselves, also when every agent is dead.
    const isEvent = entry.type === 'heard' && entry.sequence !== undefined && !entry.event.endsWith('.expired');
    const answer = entry.type === 'told' && entry.answer?.kind === 'committed' ? entry.answer : undefined;
    const agent = isEvent ? entry.agent : answer && parseSubject(answer.event)?.agent;
    const own = this.#commits.get(agent ?? '');
    if (own === undefined) return;
    own.push(atMs);
    this.end(atMs);
  }

  /** A pause ends: by a commit, or with the load. */
  end(atMs: number): void {
    if (atMs - this.#lastAnyMs > shortestGapMs) this.#gaps.push(atMs - this.#lastAnyMs);
    this.#lastAnyMs = atMs;
  }

  /** When the agent last committed. */
  lastOf(agent: string): number | undefined {
    return this.#commits.get(agent)?.at(-1);
  }

  unavailability(): Unavailability {
    const totalMs = Math.round(this.#gaps.reduce((sum, length) => sum + length, 0));
    return { gaps: this.#gaps.length, totalMs, longestMs: Math.round(Math.max(0, ...this.#gaps)) };
  }

  recovery(happened: readonly Happened[]): Recovery {
    const recoveries = happened.map(({ healedAtMs }) => this.#firstByAllAfter(healedAtMs));
    const known = recoveries.filter(Number.isFinite).toSorted((left, right) => left - right);
    const at = (share: number): number => Math.round(known[Math.ceil(share * known.length) - 1] ?? 0);
    const afterHealMs = known.length === 0 ? undefined : { p50: at(0.5), p99: at(0.99), max: at(1) };
    return { afterHealMs, never: recoveries.length - known.length };
  }

  /** How long after this every agent had committed. */
  #firstByAllAfter(atMs: number): number {
    const first = (own: number[]): number => own[firstIndex(own, (each) => each > atMs)] ?? Infinity;
    return Math.max(...[...this.#commits.values()].map(first)) - atMs;
  }
}
