import type { AgentProcess } from '../../support/agent-process.ts';

/** The statuses that an agent's health endpoint answers now; its port is in its log. */
export async function healthOf(agent: AgentProcess): Promise<{ livez: number; readyz: number }> {
  const port = /"port":(\d+)/.exec(agent.log)?.[1];
  if (port === undefined) throw new Error(`no port in the log:\n${agent.log}`);
  const ask = async (path: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}/${path}`);
    await response.text();
    return response.status;
  };
  return { livez: await ask('livez'), readyz: await ask('readyz') };
}
