export type Say = (line: string) => void;

/** Tells a person what is going on; see lib/narrate.mjs. */
export interface Narrator {
  readonly say: Say;
  /** Says what begins, that it still runs, and how long it took. */
  readonly step: <T>(title: string, work: () => Promise<T>) => Promise<T>;
}
