export type Say = (line: string) => void;

/** Tells a person what is going on; see lib/narrate.mjs. */
export interface Narrator {
  readonly say: Say;
  /** Said with `--verbose` only. */
  readonly detail: Say;
  /**
   * One line for the whole step: that it still runs, with what `work` tells of its progress, then its end and its duration.
   * `describe` words the end; default: the title.
   */
  readonly step: <T>(title: string, work: (tell: Say) => Promise<T>, describe?: (result: T) => string) => Promise<T>;
}
