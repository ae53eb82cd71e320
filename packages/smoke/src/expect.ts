/** What a check expects. Every failure names the thing, what was expected and what was found. */
import { isDeepStrictEqual } from 'node:util';
import { CheckFailed } from './check.ts';

const maxShownCharacters = 400;

export function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) throw mismatch(what, show(expected), show(actual));
}

/** For facts that are not an equality; `expected` says in words what would do. */
export function expectThat(what: string, holds: boolean, expected: string, actual: unknown): void {
  if (!holds) throw mismatch(what, expected, show(actual));
}

/** Narrows a value that must be there. */
export function expectPresent<T>(what: string, value: T | null | undefined): T {
  if (value === null || value === undefined) throw mismatch(what, 'a value', show(value));
  return value;
}

function mismatch(what: string, expected: string, actual: string): CheckFailed {
  return new CheckFailed(`${what}: expected ${expected}, got ${actual}`);
}

/** A value as one line of JSON, clipped. */
export function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= maxShownCharacters ? text : `${text.slice(0, maxShownCharacters)}…`;
}
