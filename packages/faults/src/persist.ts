import { setTimeout as sleep } from 'node:timers/promises';

const pauseMs = 200;

/** Does something again until it works, as it must, with everything else failing around it. @throws Error saying what failed last */
export async function persist<T>(what: string, work: () => Promise<T>, withinMs: number): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`${what} failed for ${withinMs / 1000} s: ${(error as Error).message}`, { cause: error });
      }
      await sleep(pauseMs);
    }
  }
}
