import { printable } from '@meshforge/protocol';
import { Interrupted, resultLine, runSmoke, summaryLine } from '@meshforge/smoke';
import type { Address } from './connection.ts';

const maxLineCharacters = 300;

/** Every command and event of the checks goes by. A check that fails is shown and no more; ends early on the signal. */
export async function showSmoke(address: Address, say: (line: string) => void, signal: AbortSignal): Promise<void> {
  const { url, ...identity } = address;
  say('· checking it over the wire: → command, ← its answer, • event');
  try {
    const report = await runSmoke({
      connection: { servers: url.split(',').map((server) => server.trim()), ...identity },
      signal,
      onLine: (line) => say(`    ${printable(line, maxLineCharacters)}`),
      onResult: (result) => say(`  ${resultLine(result)}`),
      onLeftover: (text) => say(`  left behind: ${printable(text, maxLineCharacters)}`),
    });
    say(`  ${summaryLine(report)}`);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}
