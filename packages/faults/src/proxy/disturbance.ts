/** What can be done to a link; several at once add up. */
export interface Disturbance {
  /** New connections are reset. */
  readonly refuses?: boolean;
  /** Bytes arrive that much later, in milliseconds. */
  readonly toServerDelayMs?: number;
  readonly toClientDelayMs?: number;
  /** Bytes wait until it is over, as in a network that is silent: neither end notices by itself. */
  readonly holdsToServer?: boolean;
  readonly holdsToClient?: boolean;
  /** Whether a delivery to the client gets lost, by its subject; whatever else the server says arrives. */
  readonly drops?: (subject: string) => boolean;
}

/** Ends what was done, once; later calls do nothing. */
export type Undo = () => void;

export type Direction = 'toServer' | 'toClient';

/** All that is being done to a link now. */
export class Disturbances {
  readonly #active = new Set<Disturbance>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  add(disturbance: Disturbance): Undo {
    // A copy, so that the same one may be added twice.
    const added = { ...disturbance };
    this.#active.add(added);
    this.#onChange();
    return () => {
      if (this.#active.delete(added)) this.#onChange();
    };
  }

  get refuses(): boolean {
    return this.#any((each) => each.refuses === true);
  }

  holds(direction: Direction): boolean {
    return this.#any((each) => (direction === 'toServer' ? each.holdsToServer : each.holdsToClient) === true);
  }

  delayMs(direction: Direction): number {
    let sum = 0;
    for (const { toServerDelayMs = 0, toClientDelayMs = 0 } of this.#active) {
      sum += direction === 'toServer' ? toServerDelayMs : toClientDelayMs;
    }
    return sum;
  }

  drops(subject: string): boolean {
    return this.#any((each) => each.drops?.(subject) === true);
  }

  #any(test: (each: Disturbance) => boolean): boolean {
    for (const each of this.#active) if (test(each)) return true;
    return false;
  }
}
