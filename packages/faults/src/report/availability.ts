import { parseSubject } from '@meshforge/protocol';
import type { Entry } from '../history.ts';
import type { Listener } from '../recorder.ts';
import type { Happened } from '../schedule/carry-out.ts';
import { quantilesOf, type Quantiles } from './quantiles.ts';

/** A time without commits, while there was load. */
interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

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

/** Shorter pauses are no news. */
const shortestGapMs = 1_000;
const binMs = 5;

/** When which agent committed, as clients were told and subscribers heard. */
export class Availability implements Listener {
  /** By agent: whether there was a commit in each five milliseconds of the run. */
  readonly #bins = new Map<string, Uint8Array>();
  readonly #last = new Map<string, number>();
  readonly #gaps: Gap[] = [];
  #lastAnyMs: number | undefined;

  constructor(agents: readonly string[], longestRunMs: number) {
    for (const agent of agents) this.#bins.set(agent, new Uint8Array(Math.ceil(longestRunMs / binMs)));
  }

  /** Load begins: from now on commits are expected. */
  begin(atMs: number): void {
    this.#lastAnyMs = atMs;
  }

  entry(entry: Entry, atMs: number): void {
    // Leases end by themselves, also when every agent is dead.
    if (entry.type === 'told' && entry.answer?.kind === 'committed') this.#note(agentIn(entry.answer.event), atMs);
    if (entry.type === 'heard' && entry.sequence !== undefined && !entry.event.endsWith('.expired')) {
      this.#note(entry.agent, atMs);
    }
  }

  /** Load ends: the last gap, if it is one, ends with it. */
  end(atMs: number): void {
    this.#closeGap(atMs);
  }

  /** When every agent has committed after this; undefined as long as one has not. */
  allCommittedSince(sinceMs: number): boolean {
    return [...this.#bins.keys()].every((agent) => (this.#last.get(agent) ?? -1) > sinceMs);
  }

  /** When the agent last committed. */
  lastOf(agent: string): number | undefined {
    return this.#last.get(agent);
  }

  unavailability(): Unavailability {
    const lengths = this.#gaps.map(({ fromMs, toMs }) => toMs - fromMs);
    const totalMs = Math.round(lengths.reduce((sum, length) => sum + length, 0));
    return { gaps: lengths.length, totalMs, longestMs: Math.round(Math.max(0, ...lengths)) };
  }

  recovery(happened: readonly Happened[]): Recovery {
    const recoveries = happened.map(({ healedAtMs }) => this.#firstByAllAfter(healedAtMs));
    const known = recoveries.filter((each) => each !== undefined);
    return { afterHealMs: quantilesOf(known), never: recoveries.length - known.length };
  }

  #note(agent: string, atMs: number): void {
    const bins = this.#bins.get(agent);
    if (bins === undefined) return;
    bins[Math.floor(atMs / binMs)] = 1;
    this.#last.set(agent, atMs);
    this.#closeGap(atMs);
  }

  #closeGap(atMs: number): void {
    const from = this.#lastAnyMs ?? atMs;
    if (atMs - from > shortestGapMs) this.#gaps.push({ fromMs: from, toMs: atMs });
    this.#lastAnyMs = atMs;
  }

  /** How long after this every agent had committed. */
  #firstByAllAfter(atMs: number): number | undefined {
    let slowest = 0;
    for (const bins of this.#bins.values()) {
      const found = bins.indexOf(1, Math.floor(atMs / binMs) + 1);
      if (found === -1) return undefined;
      slowest = Math.max(slowest, found * binMs - atMs);
    }
    return slowest;
  }
}

function agentIn(event: string): string {
  return parseSubject(event)?.agent ?? '';
}
