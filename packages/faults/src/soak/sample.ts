import { measureProcesses } from '@meshforge/processes';
import type { AgentReplica } from '../mesh/agent-replica.ts';
import type { TestedMesh } from '../mesh/tested-mesh.ts';

/** What a process uses at one moment. Memory is that after its garbage was collected, where that can be asked for. */
export interface ProcessSample {
  readonly name: string;
  readonly residentBytes: number;
  readonly fileDescriptors: number;
  /** Of agents only. */
  readonly heapBytes?: number;
}

/** What the servers say of those who are connected to them. */
export interface ServerSample {
  readonly connections: number;
  /** Of all connections together. */
  readonly subscriptions: number;
  /** In the servers' own tables, those for JetStream and routes included. */
  readonly tableEntries: number;
  /** Stored in all streams, counted once per replica. */
  readonly storedMessages: number;
}

export interface Sample {
  readonly atMs: number;
  readonly agents: readonly ProcessSample[];
  readonly servers: readonly ProcessSample[];
  readonly server: ServerSample;
}

const requestTimeoutMs = 5_000;

export async function takeSample(mesh: TestedMesh, atMs: number): Promise<Sample> {
  const { nodes } = mesh.servers;
  const agents = await Promise.all(mesh.agents.map(sampleAgent));
  const servers = await Promise.all(nodes.map(({ name, pid }) => sampleProcess(name ?? 'server', pid)));
  const reports = await Promise.all(nodes.map(({ monitorUrl }) => sampleServer(monitorUrl)));
  const sum = (key: keyof ServerSample): number => reports.reduce((total, report) => total + report[key], 0);
  return {
    atMs,
    agents,
    servers,
    server: {
      connections: sum('connections'),
      subscriptions: sum('subscriptions'),
      tableEntries: sum('tableEntries'),
      storedMessages: sum('storedMessages'),
    },
  };
}

async function sampleAgent(agent: AgentReplica): Promise<ProcessSample> {
  // First the garbage, then what is left.
  const memory = await agent.measure();
  const sample = await sampleProcess(agent.name, agent.pid);
  return memory === undefined ? sample : { ...sample, ...memory };
}

async function sampleProcess(name: string, pid: number | undefined): Promise<ProcessSample> {
  const usage = pid === undefined ? undefined : await measureProcesses([pid]);
  return { name, residentBytes: usage?.memoryBytes ?? 0, fileDescriptors: usage?.fileDescriptors ?? 0 };
}

async function sampleServer(monitorUrl: string): Promise<ServerSample> {
  const [connections, table, jetstream] = await Promise.all([
    ask<{ connections: { subscriptions: number }[] }>(`${monitorUrl}/connz`),
    ask<{ num_subscriptions: number }>(`${monitorUrl}/subsz`),
    ask<{ messages: number }>(`${monitorUrl}/jsz`),
  ]);
  return {
    connections: connections.connections.length,
    subscriptions: connections.connections.reduce((total, { subscriptions }) => total + subscriptions, 0),
    tableEntries: table.num_subscriptions,
    storedMessages: jetstream.messages,
  };
}

async function ask<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(requestTimeoutMs) });
  return (await response.json()) as T;
}
