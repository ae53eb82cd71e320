import type { Ran } from './run-history.ts';
import type { Step } from './script.ts';

const MOST_BREACHES = 8;
const MOST_ERRORS = 12;

/** A failing history, for people. */
export function showFailure(found: Ran, shortest: Ran): string {
  const { cast, steps } = shortest.script;
  return [
    `seed ${found.script.seed} fails (${found.script.steps.length} steps); the shortest history found that fails so has ${steps.length}:`,
    `  ${Object.entries(cast)
      .map(([role, count]) => `${role} ${count}`)
      .join(', ')}`,
    ...steps.map((step) => `  ${showStep(step)}`),
    'breaches:',
    ...shortest.breaches.slice(0, MOST_BREACHES).map((breach) => `  ${breach}`),
    ...(shortest.errors.length === 0 ? [] : ['logged:', ...shortest.errors.slice(0, MOST_ERRORS).map((e) => `  ${e}`)]),
  ].join('\n');
}

function showStep({ at, kind, ...rest }: Step): string {
  const parts = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `${name} ${typeof value === 'object' ? Object.values(value as object).join('-') : String(value)}`,
    );
  return `${String(at).padStart(6)} ms  ${kind}  ${parts.join(', ')}`;
}
