/**
 * Freezes a JSON value with all that it holds, and gives it back. One that is frozen already is taken to be frozen throughout,
 * so that a value which is decided on again costs one look.
 */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
