import type { Address, Contender } from '../contender.ts';

/** The work of one client process. */
export interface Work {
  /** One operation. @param worker below `concurrency`, which is how many are under way at once */
  run(worker: number, concurrency: number): Promise<void>;
  /** That the server has taken in or sent out so far, where it can be told. */
  messages?(): Promise<number>;
  /** How much of the work that is done later has been done so far, of a load that only stores it. */
  executed?(): Promise<number>;
  /** Resolves when nothing is left to be done later; its processor time counts, its time does not. */
  settle?(): Promise<void>;
  /** Looks, when all is over, whether the work was really done. Throws what was wrong. */
  verify?(): Promise<void>;
  close(): Promise<void>;
}

/** A contender together with the work that a load has for it. */
export type Participant = Omit<Contender<never>, 'connect'> & {
  /** In the client process: connects, and makes ready for so many at once. */
  prepare(address: Address): Promise<Work>;
};

/** Something that every contender does in its own way, so that they can be compared. */
export interface Load {
  readonly id: string;
  readonly title: string;
  /** Of one operation, plural: `updates`. */
  readonly unit: string;
  /**
   * Operations wait for each other. Those that are under way when the time is over are finished, but only what was done in
   * time counts as throughput; and it is told how the workers had their turns.
   */
  readonly contended?: boolean;
  /** How many at once, as the short and the full run measure it. */
  readonly concurrency: { readonly short: readonly number[]; readonly full: readonly number[] };
  readonly participants: readonly Participant[];
}

interface LoadOf<Client> extends Omit<Load, 'participants'> {
  readonly contenders: readonly Contender<Client>[];
  readonly work: (client: Client) => Promise<Work>;
}

/** Ties a load to its contenders. */
export function defineLoad<Client>({ contenders, work, ...load }: LoadOf<Client>): Load {
  const participants = contenders.map((contender) => ({
    ...contender,
    prepare: async (address: Address) => await work(await contender.connect(address)),
  }));
  return { ...load, participants };
}
