import type { Work } from '../loads/load.ts';
import type { Slice } from './messages.ts';

/** A worker that meets nothing but failures gives up after so many in a row. */
const maxFailuresInARow = 20;

/** Keeps so many operations under way for a while. An operation that has begun is finished, and counts. */
export async function runSlice(work: Work, concurrency: number, durationMs: number): Promise<Slice> {
  const latenciesUs: number[] = [];
  let failures = 0;
  let failure: string | undefined;
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
  return { elapsedMs, latenciesUs, failures, ...(failure === undefined ? {} : { failure }) };
}
