import { printable } from '@meshforge/protocol';
import { Interrupted, resultLine, runSmoke, type SmokeReport } from '@meshforge/smoke';
import type { Address } from './connection.ts';
import type { Narrator, Say } from './narrator.ts';

const maxLineCharacters = 300;

/**
 * Runs the checks and tells their count in one line, after a line for each that failed. Every command and event of them is a
 * detail. Ends early on the signal.
 */
export async function showSmoke(address: Address, narrator: Narrator, signal: AbortSignal): Promise<void> {
  const { say, detail, step } = narrator;
  const { url, ...identity } = address;
  detail('checking it over the wire: → command, ← its answer, • event');
  let done = 0;
  const check = (tell: Say): Promise<SmokeReport> =>
    runSmoke({
      connection: { servers: url.split(',').map((server) => server.trim()), ...identity },
      signal,
      onLine: (line) => detail(`    ${printable(line, maxLineCharacters)}`),
      onResult: (result) => {
        tell(`${++done} done`);
        (result.ok ? detail : say)(`  ${resultLine(result)}`);
      },
      onLeftover: (text) => say(`! left behind: ${printable(text, maxLineCharacters)}`),
    });
  try {
    await step('checking it over the wire', check, countLine);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}

function countLine({ passed, failed, skipped }: SmokeReport): string {
  return `${passed} of ${passed + failed} checks passed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
