/**
 * What the harness can do inside an agent's process, loaded before its main module: move its wall clock, and have its garbage
 * collected. The agent itself knows nothing of it.
 */
export interface ControlMessage {
  /** The wall clock differs from the machine's by so much from now on. */
  readonly skewMs?: number;
  /** Collect garbage, and answer with a {@link MemoryMessage}. */
  readonly measure?: true;
}

export interface MemoryMessage {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

const script = `
  const now = Date.now;
  let skewMs = 0;
  Date.now = () => now() + skewMs;
  process.on('message', async (message) => {
    skewMs = message.skewMs ?? skewMs;
    if (message.measure !== true) return;
    // Twice: what a finalizer frees goes with the second.
    for (let turn = 0; turn < 2; turn++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { heapUsed, rss } = process.memoryUsage();
    process.send?.({ heapBytes: heapUsed, residentBytes: rss });
  });
  // The agent ends when it has nothing left to do, as it does without this.
  process.channel?.unref();
`;

/** For Node.js, before the module to run. */
export const controlArguments: readonly string[] = [
  '--expose-gc',
  '--import',
  `data:text/javascript,${encodeURIComponent(script)}`,
];
