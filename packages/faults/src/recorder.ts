import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Breach, Entry } from './history.ts';

/** What holds a history against the invariants, entry by entry. */
export interface HistoryChecker {
  add(entry: Entry): void;
  readonly breaches: readonly Breach[];
  /** What may happen by design, though nobody wishes for it, and how often it did. */
  readonly knownLimits: Readonly<Record<string, number>>;
  finish(isComplete: boolean): readonly Breach[];
}

/** Somebody who follows the history as it is made. */
export interface Listener {
  entry?(entry: Entry, atMs: number): void;
  unknownOutcome?(kind: 'unavailable' | 'timeout'): void;
}

export interface RecorderOptions {
  readonly checker: HistoryChecker;
  readonly listeners: readonly Listener[];
  /** Keeps the history there, one entry a line. */
  readonly file?: string | undefined;
}

/** The history of a run: gives it its clock, and hands each entry to the checker as it happens. */
export class Recorder {
  readonly #checker: HistoryChecker;
  readonly #listeners: readonly Listener[];
  readonly #file: WriteStream | undefined;
  readonly #own: Breach[] = [];
  #fail: (error: unknown) => void = () => {};
  /** Rejects when the checker cannot make sense of the history: a fault of the harness. */
  readonly failed: Promise<never>;
  #startedAt = performance.now();

  constructor({ checker, listeners, file }: RecorderOptions) {
    this.#checker = checker;
    this.#listeners = listeners;
    this.#file = file === undefined ? undefined : createWriteStream(file);
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => {});
  }

  /** From now on times count. */
  begin(): void {
    this.#startedAt = performance.now();
  }

  /** Milliseconds since the run began. */
  now(): number {
    return Math.round((performance.now() - this.#startedAt) * 1000) / 1000;
  }

  add(entry: Entry): void {
    this.addAgain(entry);
    const atMs = this.now();
    for (const listener of this.#listeners) listener.entry?.(entry, atMs);
  }

  /** Something that may have been told before: for the checker, and nobody else. */
  addAgain(entry: Entry): void {
    this.#file?.write(`${JSON.stringify(entry)}\n`);
    try {
      this.#checker.add(entry);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A command got no definite answer. */
  noteUnknown(kind: 'unavailable' | 'timeout'): void {
    for (const listener of this.#listeners) listener.unknownOutcome?.(kind);
  }

  /** Something that the harness itself saw go wrong. */
  addBreach(breach: Breach): void {
    this.#own.push(breach);
  }

  /** Found so far. */
  get breaches(): readonly Breach[] {
    return [...this.#own, ...this.#checker.breaches];
  }

  get knownLimits(): Readonly<Record<string, number>> {
    return this.#checker.knownLimits;
  }

  /** The history has ended. @param isComplete whether the log of each agent was read to its end */
  async finish(isComplete: boolean): Promise<readonly Breach[]> {
    const found = this.#checker.finish(isComplete);
    if (this.#file !== undefined) {
      this.#file.end();
      await finished(this.#file);
    }
    return [...this.#own, ...found];
  }
}
