import type { Clock } from '../clock.ts';

/** Publishes that wait for their answer. */
export class Underway {
  readonly #clock: Clock;
  /** In the order in which they were sent: a Set keeps it. */
  readonly #sent = new Set<{ readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param publish settles with the answer, or with what stands for none
   * @param onAnswer is told of it, and after how many milliseconds it came
   */
  async track<T>(publish: Promise<T>, onAnswer: (answer: T, ms: number) => void): Promise<T> {
    const entry = { at: this.#clock.monotonic() };
    this.#sent.add(entry);
    try {
      const answer = await publish;
      onAnswer(answer, this.#clock.monotonic() - entry.at);
      return answer;
    } finally {
      this.#sent.delete(entry);
    }
  }

  /** How long the oldest has waited, in milliseconds; 0 when none does. A further one will hardly be faster. */
  get oldestMs(): number {
    for (const { at } of this.#sent) return this.#clock.monotonic() - at;
    return 0;
  }
}
