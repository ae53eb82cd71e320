import { onTestFinished } from 'vitest';

/** Ends a resource when the test that calls this is over, whatever became of it. Last in, first out. */
export function endWithTest<T extends { stop(): Promise<unknown> } | { close(): Promise<unknown> }>(resource: T): T {
  onTestFinished(async () => {
    await ('stop' in resource ? resource.stop() : resource.close());
  });
  return resource;
}
