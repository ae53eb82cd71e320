/** What can be done to a link; several at once add up. */
export interface Disturbance {
  /** New connections are reset. */
  readonly refuses?: boolean;
  readonly toServer?: Slowness;
  readonly toClient?: Slowness;
  /** Whether a delivery to the client gets lost, by its subject; whatever else the server says arrives. */
  readonly drops?: (subject: string) => boolean;
}

/** What is done to one direction. */
interface Slowness {
  /** Bytes arrive that much later, in milliseconds. */
  readonly delayMs?: number;
  /** Bytes wait until it is over, as in a network that is silent: neither end notices by itself. */
  readonly holds?: boolean;
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
    return this.#any((each) => each[direction]?.holds === true);
  }

  delayMs(direction: Direction): number {
    return [...this.#active].reduce((sum, each) => sum + (each[direction]?.delayMs ?? 0), 0);
  }

  drops(subject: string): boolean {
    return this.#any((each) => each.drops?.(subject) === true);
  }

  #any(test: (each: Disturbance) => boolean): boolean {
    return [...this.#active].some(test);
  }
}
