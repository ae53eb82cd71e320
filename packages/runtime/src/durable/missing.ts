import type { Clock } from '../clock.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';

/** Between two looks, in milliseconds. */
const PAUSE_MS = 100;
/** Longest wait while the server answers, in milliseconds: longer than it takes, on a busy machine, to deliver them again. */
const PATIENCE_MS = 15_000;

/**
 * Looks how many messages are missing, until none is. Each look that finds some gives their count. It ends early when the run is
 * over, and when the wait gets too long: somebody may have acknowledged them.
 */
export async function* whileMissing(
  clock: Clock,
  over: AbortSignal,
  look: () => Promise<number>,
): AsyncGenerator<number> {
  let until = clock.monotonic() + PATIENCE_MS;
  while (!over.aborted && clock.monotonic() < until) {
    try {
      const count = await look();
      if (count <= 0) return;
      yield count;
    } catch (error) {
      if (!(error instanceof NoAnswerError)) throw error;
      // Without the server nothing is delivered either.
      until = clock.monotonic() + PATIENCE_MS;
    }
    await clock.sleep(PAUSE_MS, over);
  }
}
