import type { NatsServer } from '@meshforge/nats-server';
import type { AgentReplica } from '../mesh/agent-replica.ts';
import { AGENTS, type TestedMesh } from '../mesh/tested-mesh.ts';
import type { Link } from '../proxy/link.ts';
import type { Random } from '../random.ts';
import type { Injected } from './fault.ts';

/** A server: mostly the one that leads a stream, for that hurts most. */
export async function drawServer(mesh: TestedMesh, random: Random): Promise<{ server: NatsServer; target: string }> {
  const { nodes } = mesh.servers;
  const { agent } = drawAgent(random);
  const any = random.pick(nodes);
  const wanted = random.pick(['leader', 'leader', 'follower', 'any'] as const);
  const leader = nodes.length === 1 ? undefined : await mesh.leaderOf(agent);
  const name = (server: NatsServer): string => server.name ?? 'the server';
  if (leader === undefined || wanted === 'any') return { server: any, target: name(any) };
  if (wanted === 'leader') return { server: leader, target: `${name(leader)}, leader of ${agent}` };
  const follower = nodes[(nodes.indexOf(leader) + random.int(1, nodes.length - 1)) % nodes.length] ?? any;
  return { server: follower, target: `${name(follower)}, follower of ${agent}` };
}

/** The consumer of COMMANDS_<agent> that executes durable commands. */
export const EXECUTOR = 'executor';

/** An agent, by its token and its name. */
export function drawAgent(random: Random): (typeof AGENTS)[number] {
  return random.pick(AGENTS);
}

/** Mostly one replica, and now and then all of one agent. */
export function drawAgents(mesh: TestedMesh, random: Random): { agents: readonly AgentReplica[]; target: string } {
  const one = random.pick(mesh.agents);
  const all = mesh.agents.filter(({ agent }) => agent === one.agent);
  return random.chance(0.2)
    ? { agents: all, target: `all replicas of ${one.agent}` }
    : { agents: [one], target: one.name };
}

/** The links of some agents, of some clients, or of both. */
export function drawLinks(mesh: TestedMesh, random: Random): Pick<Injected, 'clients' | 'target'> & { links: Link[] } {
  const agents = random.some(mesh.agents);
  const clients = random.some(mesh.clientLinks);
  const which = random.pick(['agents', 'agents', 'clients', 'both'] as const);
  const links = which === 'clients' ? [] : agents.flatMap((agent) => agent.links);
  const names = which === 'clients' ? [] : [agents.map((agent) => agent.name).join()];
  if (which === 'agents') return { links, target: `links of ${names.join()}` };
  return {
    links: [...links, ...clients.flat()],
    clients: clients.map((own) => mesh.clientLinks.indexOf(own)),
    target: `links of ${[...names, `${clients.length} clients`].join(' and of ')}`,
  };
}
