/** What has to be undone, last thing first. */
export class CleanUp {
  readonly #steps: (() => Promise<unknown>)[] = [];

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /** Runs every step, whatever becomes of the others; answers what failed. */
  async run(): Promise<unknown[]> {
    const faults: unknown[] = [];
    for (const step of this.#steps.splice(0).toReversed()) await step().catch((error: unknown) => faults.push(error));
    return faults;
  }
}
