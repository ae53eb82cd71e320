import { startAgent, type AgentOptions, type RunningAgent } from '@meshforge/runtime';
import { inventory } from '../../src/index.ts';

/** Replicas of the inventory within this process. */
export interface Replicas {
  readonly agents: readonly RunningAgent[];
  stop(): Promise<void>;
}

/**
 * Starts so many replicas, all in the same moment. Each connects to another server first, where there are several.
 * @param servers URLs, separated by commas
 */
export async function startReplicas(servers: string, count: number, options: AgentOptions = {}): Promise<Replicas> {
  const urls = servers.split(',');
  const starting = Array.from({ length: count }, (_, index) => {
    const turn = index % urls.length;
    const nats = { servers: [...urls.slice(turn), ...urls.slice(0, turn)] };
    return startAgent(inventory, { ...options, nats });
  });
  const started = await Promise.allSettled(starting);
  const agents = started.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop()));
  };
  const failure = started.find((start) => start.status === 'rejected');
  if (failure === undefined) return { agents, stop };
  await stop();
  throw failure.reason;
}
