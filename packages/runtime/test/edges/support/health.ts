import type { AgentProcess } from '../../support/agent-process.ts';

/** The statuses that an agent's health endpoint answers now; its port is in its log. */
export async function healthOf(agent: AgentProcess): Promise<{ livez: number; readyz: number }> {
  const [livez, readyz] = [await ask(agent, 'livez'), await ask(agent, 'readyz')];
  return { livez: livez.status, readyz: readyz.status };
}

/** What an agent's health endpoint says of its readiness. */
export async function readinessOf(agent: AgentProcess): Promise<string> {
  return (await ask(agent, 'readyz')).text;
}

async function ask(agent: AgentProcess, path: string): Promise<{ status: number; text: string }> {
  const port = /"port":(\d+)/.exec(agent.log)?.[1];
  if (port === undefined) throw new Error(`no port in the log:\n${agent.log}`);
  const response = await fetch(`http://127.0.0.1:${port}/${path}`);
  return { status: response.status, text: await response.text() };
}
