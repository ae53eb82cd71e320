/** What a reader needs to mend it without asking. */
interface Obstacle {
  /** One clause: what is in the way. */
  readonly problem: string;
  readonly tried: string;
  readonly expected: string;
  readonly remedy: string;
  readonly cause?: unknown;
}

/** No check was decided, because nothing could be asked. A check that fails is never this: it is a result. */
export class CannotRun extends Error {
  constructor({ problem, tried, expected, remedy, cause }: Obstacle) {
    super(
      `cannot run the checks: ${problem}\n  tried:    ${tried}\n  expected: ${expected}\n  do this:  ${remedy}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = 'CannotRun';
  }
}

/** The run was stopped from outside before its last check. What it had made is cleaned up. */
export class Interrupted extends Error {
  constructor() {
    super('the run was interrupted');
    this.name = 'Interrupted';
  }
}
