import { startAgentProcess } from '../servers/agent.ts';

/** What an agent says of itself. */
export interface MemoryReport {
  /** Resident at most, since it started. */
  readonly maxRssBytes: number;
  /** Used of the heap, what nobody refers to any more included. */
  readonly heapBytes: number;
}

export interface WatchedAgent {
  /** Of all its life. */
  most(): MemoryReport;
  stop(): Promise<void>;
}

const probe = new URL('./memory-probe.ts', import.meta.url);

/** The inventory agent, as its users start it, and how much memory it takes at most. */
export async function startWatchedAgent(natsUrl: string): Promise<WatchedAgent> {
  let most: MemoryReport = { maxRssBytes: 0, heapBytes: 0 };
  const onMessage = (message: unknown): void => {
    const { maxRssBytes, heapBytes } = message as MemoryReport;
    most = { maxRssBytes, heapBytes: Math.max(most.heapBytes, heapBytes) };
  };
  const agent = await startAgentProcess({ app: '@meshforge/inventory', natsUrl, preload: probe, onMessage });
  return { most: () => most, stop: async () => void (await agent.stop()) };
}
