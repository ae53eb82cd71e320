/** A file of the repository, as rules see it. */
export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** A place that breaks a rule. */
export interface Violation {
  readonly rule: string;
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly found: string;
  /** What to do, in place of what was found. */
  readonly instead: string;
}

/** The line, counted from 1, in which the character at `index` stands. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
