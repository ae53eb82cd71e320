import type { Work } from '../loads/load.ts';
import type { Slice, Turns } from './messages.ts';

/** A worker that meets nothing but failures gives up after so many in a row. */
const maxFailuresInARow = 20;

/**
 * Keeps so many operations under way for a while. An operation that has begun is finished, and counts: of a contended load
 * with its latency only, since those that are left at the end have less and less company.
 */
export async function runSlice(work: Work, concurrency: number, durationMs: number, contended = false): Promise<Slice> {
  const latenciesUs: number[] = [];
  /** Who was done in time, one after the other. */
  const inTime: number[] = [];
  let failures = 0;
  let failure: string | undefined;
  const before = await work.messages?.();
  const executedBefore = await work.executed?.();
  const start = performance.now();
  const end = start + durationMs;

  const loop = async (worker: number): Promise<void> => {
    let inARow = 0;
    for (let now = performance.now(); now < end && inARow < maxFailuresInARow;) {
      const began = now;
      try {
        await work.run(worker, concurrency);
        now = performance.now();
        latenciesUs.push(Math.round((now - began) * 1000));
        if (now <= end) inTime.push(worker);
        inARow = 0;
      } catch (error) {
        now = performance.now();
        failures++;
        inARow++;
        failure ??= error instanceof Error ? error.message : String(error);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, worker) => loop(worker)));

  const elapsedMs = performance.now() - start;
  const executedAfter = await work.executed?.();
  // Its own time, since more is executed until it is told.
  const toldMs = performance.now() - start;
  // What never gets done is found wrong in the end, by name.
  await work.settle?.().catch((error: unknown) => {
    failures++;
    failure ??= error instanceof Error ? error.message : String(error);
  });
  const after = await work.messages?.();
  return {
    elapsedMs: contended ? durationMs : elapsedMs,
    latenciesUs,
    ...(contended && { turns: turnsOf(inTime, concurrency) }),
    ...(before !== undefined && after !== undefined && { messages: after - before }),
    ...(executedBefore !== undefined &&
      executedAfter !== undefined && { executed: { jobs: executedAfter - executedBefore, elapsedMs: toldMs } }),
    failures,
    ...(failure === undefined ? {} : { failure }),
  };
}

function turnsOf(workers: readonly number[], concurrency: number): Turns {
  const operations = workers.length;
  const each = Array.from({ length: concurrency }, () => 0);
  for (const worker of workers) each[worker] = (each[worker] ?? 0) + 1;
  return {
    operations,
    handovers: workers.filter((worker, index) => index > 0 && worker !== workers[index - 1]).length,
    mostPerMean: operations === 0 ? 0 : (Math.max(...each) * concurrency) / operations,
  };
}
