// Runs the histories that `simulate` asks for; one that fails ends its share.
import { drawScript } from './draw-script.ts';
import { runHistory } from './run-history.ts';
import type { Report } from './simulate.ts';

process.on('message', ({ count, first }: { first: number; count: number }) => {
  void run(first, count).then((report) => process.send?.(report));
});

async function run(first: number, count: number): Promise<Report> {
  for (let seed = first; seed < first + count; seed++) {
    const { breaches } = await runHistory(drawScript(seed));
    if (breaches[0] !== undefined) return { ran: seed - first + 1, failed: { seed, breach: breaches[0] } };
  }
  return { ran: count, failed: undefined };
}
