import type { Clock } from '../clock.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';

/** Between two looks, in milliseconds. */
const PAUSE_MS = 100;
/** Longest wait, in milliseconds: longer than the server takes to deliver again what a dead worker had in its hands. */
const PATIENCE_MS = 4_000;

/**
 * Looks how many messages are missing, until none is. Each look that finds some gives their count. It ends early when the run is
 * over, and when the wait gets too long: somebody may have acknowledged them.
 */
export async function* whileMissing(
  clock: Clock,
  over: AbortSignal,
  look: () => Promise<number>,
): AsyncGenerator<number> {
  const until = clock.monotonic() + PATIENCE_MS;
  while (!over.aborted && clock.monotonic() < until) {
    try {
      const count = await look();
      if (count <= 0) return;
      yield count;
    } catch (error) {
      if (!(error instanceof NoAnswerError)) throw error;
    }
    await clock.sleep(PAUSE_MS, over);
  }
}
