import type { Disturbed, Entry, Heard, Logged, Taken, Told } from '../history.ts';
import type { Ledger } from './ledger.ts';
import type { Command, Message } from './records.ts';

/** Something that holds of every history. One that joins is a file in `invariants/` and a line in `invariants.ts`. */
export interface Invariant {
  /** As it stands in a breach. */
  readonly name: string;
  readonly create: (desk: Desk) => Watcher;
}

/**
 * Told of everything as it comes in. Entries of different kinds come in any order, so what needs two of them waits for
 * the hook that has both; what never came is found in `finish`.
 */
export interface Watcher {
  onSent?(command: Command): void;
  onTold?(told: Told, command: Command): void;
  /** @param isAgain told before, as a message of an entity that is over now: the log has lost its tail since */
  onLogged?(message: Message, isAgain: boolean): void;
  onHeard?(heard: Heard): void;
  /** A commit, or the record of a refusal, and its command are both known. Once for each. */
  onPaired?(message: Message, command: Command): void;
  /** A definite answer and a commit of the same command, or a record, are both known. Once for each two. */
  onSettled?(told: Told, message: Message, command: Command): void;
  /** A log delivered something at a place that it had passed, other than before. */
  onRewritten?(entry: Logged, message: Message): void;
  onDisturbed?(disturbed: Disturbed): void;
  /** An operator took something away. What is left of a log comes again as messages of new entities, right after this. */
  onTaken?(taken: Taken): void;
  /** The history is complete. */
  finish?(): void;
}

/** What an invariant has at hand. */
export interface Desk {
  readonly ledger: Ledger;
  /** @param history the shortest part that shows it, oldest first; what is undefined is left out */
  readonly breach: (what: string, history: readonly (Entry | undefined)[]) => void;
  /** Counts what may happen by design, though nobody wishes for it. */
  readonly limit: (name: string) => void;
  /** Counts a piece of work that grows with the history. */
  readonly step: () => void;
}
