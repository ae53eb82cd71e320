import { setTimeout as sleep } from 'node:timers/promises';

/** Longest pause after a conflict, in milliseconds. */
const maxPauseMs = 50;
/** An increment that meets so many conflicts will not go through, and a benchmark must end. */
const maxTries = 10_000;

/**
 * Tries until `attempt` answers true. Between tries it pauses as MeshForge's own `mesh.update` does, so that contenders
 * differ in what they do and not in how patient they are.
 */
export async function untilDone(attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 1; tries <= maxTries; tries++) {
    if (await attempt()) return;
    await sleep(Math.random() * Math.min(maxPauseMs, 2 ** Math.min(tries, 6)));
  }
  throw new Error(`${maxTries} conflicts in a row`);
}
