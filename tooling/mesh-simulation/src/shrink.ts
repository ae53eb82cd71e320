import { runHistory, type Ran } from './run-history.ts';
import type { Cast, Script, Step } from './script.ts';

/** Histories that one search may run. */
const MOST_RUNS = 400;

/**
 * The shortest failing history that leaving out finds: steps first, in ever smaller parts, then who takes part.
 * @param isSame whether a history fails as the first one does
 */
export async function shrink(first: Ran, isSame: (ran: Ran) => boolean, mostRuns = MOST_RUNS): Promise<Ran> {
  let best = first;
  let left = mostRuns;
  const tryOut = async (script: Script): Promise<boolean> => {
    if (left <= 0) return false;
    left--;
    const ran = await runHistory(script);
    if (!isSame(ran)) return false;
    best = ran;
    return true;
  };
  for (let isShorter = true; isShorter;) {
    const before = sizeOf(best.script);
    await leaveOutSteps(() => best.script, tryOut);
    for (const cast of smallerCasts(best.script.cast)) await tryOut({ ...best.script, cast });
    isShorter = sizeOf(best.script) < before;
  }
  return best;
}

async function leaveOutSteps(current: () => Script, tryOut: (script: Script) => Promise<boolean>): Promise<void> {
  for (let size = Math.ceil(current().steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < current().steps.length;) {
      const script = current();
      const steps = without(script.steps, at, size);
      if (!(await tryOut({ ...script, steps }))) at += size;
    }
  }
}

function without(steps: readonly Step[], at: number, count: number): Step[] {
  return [...steps.slice(0, at), ...steps.slice(at + count)];
}

function smallerCasts(cast: Cast): Cast[] {
  const roles = ['stock', 'journal', 'lock', 'reactors', 'clients'] as const;
  const fewer = roles.flatMap((role) => {
    const least = role === 'clients' ? 1 : 0;
    return cast[role] > least ? [{ ...cast, [role]: cast[role] - 1 }] : [];
  });
  return cast.nodes === 3 ? [{ ...cast, nodes: 1 }, ...fewer] : fewer;
}

function sizeOf({ cast, steps }: Script): number {
  return steps.length + cast.nodes + cast.stock + cast.journal + cast.lock + cast.reactors + cast.clients;
}

/** What kind of breach it is: its words without what differs between two histories. */
export function kindOf(breach: string): string {
  return breach
    .split('\n', 1)[0]!
    .replaceAll(/c\d+-[a-z]+-\d+(-unknown)?/g, 'a command')
    .replaceAll(/\b(stock|journal|client|reactor|lock)[- ]\d+(\.\d+)?/g, '$1')
    .replaceAll(/[\d.]+/g, 'n')
    .slice(0, 60);
}
