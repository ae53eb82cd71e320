import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 25;

/**
 * Waits until the probe answers something else than undefined or false, and gives that back. The deadline is there to
 * end a test that hangs, never to measure.
 *
 * @param what ends the sentence "waited in vain until …"
 */
export async function until<T>(
  what: string | (() => string),
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(POLL_MS);
  }
}
