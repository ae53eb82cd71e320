import { startAgentProcess, type AgentProcess } from '../../../../packages/runtime/test/support/agent-process.ts';

/** Replicas of the inventory as processes of their own, to be killed. */
export interface AgentProcesses {
  readonly agents: readonly AgentProcess[];
  /** SIGKILL to all of them; resolves when new ones serve. */
  restartAll(): Promise<void>;
  stop(): Promise<void>;
}

/** @param natsUrl URLs, separated by commas */
export async function startAgentProcesses(
  natsUrl: string,
  count: number,
  streamReplicas: 1 | 3 = 1,
): Promise<AgentProcesses> {
  const main = new URL('../../src/main.ts', import.meta.url);
  const options = { main, name: 'inventory', natsUrl, streamReplicas };
  const started = await Promise.allSettled(Array.from({ length: count }, () => startAgentProcess(options)));
  const agents = started.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop()));
  };
  const restartAll = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.restart()));
  };
  const failure = started.find((start) => start.status === 'rejected');
  if (failure === undefined) return { agents, restartAll, stop };
  await stop();
  throw failure.reason;
}
