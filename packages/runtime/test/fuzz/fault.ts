import { Violation } from './target.ts';

/** What is wrong with an input. */
export interface Fault {
  /** The same for all inputs with which the same is wrong. */
  key: string;
  what: string;
}

const OUR_SOURCE = /\/packages\/(?:protocol|runtime)\/src\//;

/** Faults that are thrown at one place are one, whatever they say; violations are one if they say the same. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof Error)) return { key: 'thrown', what: `throws ${String(error)}` };
  if (error instanceof Violation) return { key: error.what, what: error.message };
  const line = error.stack?.split('\n').find((text) => OUR_SOURCE.test(text));
  const place = line === undefined ? undefined : /packages\/[^)]+/.exec(line)?.[0];
  const what = `${error.name}: ${error.message}`;
  return place === undefined
    ? { key: error.name, what }
    : { key: `${error.name} ${place}`, what: `${what} (${place})` };
}
