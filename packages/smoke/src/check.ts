import type { CheckContext } from './check-context.ts';

/** One fact about a mesh, and how to find out whether it holds. */
export interface Check {
  /** The fact, in the present tense. */
  readonly name: string;
  /** Returns when the fact holds; throws `CheckFailed` when it does not, `CheckSkipped` when it cannot be known. */
  readonly run: (context: CheckContext) => Promise<void>;
}

export function fact(name: string, run: Check['run']): Check {
  return { name, run };
}

/** The fact does not hold. The message shows what was expected and what was found. */
export class CheckFailed extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CheckFailed';
  }
}

/** Whether the fact holds cannot be seen by this user on this mesh. */
export class CheckSkipped extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'CheckSkipped';
  }
}

/** The verdict on one check. */
export interface CheckResult {
  readonly name: string;
  /** True also for a skipped check: nothing was found wrong. */
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: string;
  /** Why the check was not made. */
  readonly skipped?: string;
}

/** All verdicts of a run. */
export interface SmokeReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly checks: readonly CheckResult[];
}
