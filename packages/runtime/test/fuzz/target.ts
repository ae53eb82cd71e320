import type { Arbitrary } from 'fast-check';

/** Something that reads bytes or text from the wire. One that joins is a file in `targets/` and a line in `targets.ts`. */
export interface Target {
  readonly name: string;
  /** Real messages, to begin with. Text is taken as UTF-8. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Further words of its format, beside those of JSON, subjects and headers. */
  readonly words?: readonly string[];
  /** Messages that no mutation of the seeds would soon come to. */
  readonly arbitrary?: Arbitrary<string | Uint8Array>;
  /** Reads an input and checks what came of it. @throws whatever a reader must not throw, and Violation */
  readonly run: (input: Uint8Array) => void | Promise<void>;
}

/** What was read is not what it must be. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** What is wrong, whatever the input. */
  readonly what: string;

  constructor(what: string, shown?: unknown) {
    super(shown === undefined ? what : `${what}: ${JSON.stringify(shown)}`);
    this.what = what;
  }
}

/** @param what is wrong if it does not hold, the same for every input @param shown the value that is wrong */
export function must(holds: boolean, what: string, shown?: unknown): asserts holds {
  if (!holds) throw new Violation(what, shown);
}
