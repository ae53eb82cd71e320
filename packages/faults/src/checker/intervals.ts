import { firstIndex } from './records.ts';

/** Spans of time, put together where they overlap. Add all, then ask. */
export class Intervals {
  readonly #added: { from: number; until: number }[] = [];
  /** Apart from each other, oldest first; with the time that those before cover. */
  #merged: { from: number; until: number; before: number }[] | undefined;

  add(from: number, until: number): this {
    this.#added.push({ from, until });
    this.#merged = undefined;
    return this;
  }

  /** How much of the time between two moments they cover. */
  covered(from: number, until: number): number {
    return Math.max(0, this.#coveredBefore(until) - this.#coveredBefore(from));
  }

  #coveredBefore(moment: number): number {
    this.#merged ??= merge(this.#added);
    const last = this.#merged[firstIndex(this.#merged, (span) => span.from > moment) - 1];
    return last === undefined ? 0 : last.before + Math.min(moment, last.until) - last.from;
  }
}

function merge(spans: readonly { from: number; until: number }[]): { from: number; until: number; before: number }[] {
  const merged: { from: number; until: number; before: number }[] = [];
  for (const { from, until } of spans.toSorted((one, other) => one.from - other.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.until) last.until = Math.max(last.until, until);
    else merged.push({ from, until, before: last === undefined ? 0 : last.before + last.until - last.from });
  }
  return merged;
}
