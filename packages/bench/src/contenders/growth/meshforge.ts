import { measureProcesses, type ManagedProcess } from '@meshforge/processes';
import { startNatsCluster, startNatsServer } from '@meshforge/nats-server';
import { inventoryContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import type { Address, Contender, GrowthClient, Host, Service } from '../../contender.ts';
import { pickOwn } from '../../loads/pick-own.ts';
import { startAgentProcess } from '../../servers/agent.ts';
import { libraryVersion } from '../../servers/library-version.ts';

interface Shape {
  readonly entities: number;
  /** Agent processes. */
  readonly replicas?: number;
  /** Servers, and replicas of the stream: 1 or 3. */
  readonly servers?: 1 | 3;
}

/** Creations under way at once. */
const creations = 256;
const mebibyte = 2 ** 20;

async function start({ onProgress }: Host, shape: Required<Shape>): Promise<Service> {
  const { entities, replicas, servers } = shape;
  const nats =
    servers === 1 ? await startNatsServer({ onProgress }) : await startNatsCluster({ size: servers, onProgress });
  const nodes = 'nodes' in nats ? nats.nodes : [nats];
  const agents: ManagedProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map(async (agent) => await agent.stop()));
    await nats.stop();
  };
  try {
    for (let replica = 0; replica < replicas; replica++) {
      const options = { app: '@meshforge/inventory', natsUrl: nats.url, streamReplicas: servers } as const;
      agents.push(await startAgentProcess(options));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const serverPids = (): number[] => nodes.map(({ pid }) => pid ?? 0);
  const agentPids = (): number[] => agents.map(({ pid }) => pid ?? 0);
  return {
    address: { url: nats.url, entities },
    versions: { '@meshforge/inventory': libraryVersion('@meshforge/runtime') },
    pids: () => [...agentPids(), ...serverPids()],
    async inspect() {
      const [ofServers, ofAgents] = [await measureProcesses(serverPids()), await measureProcesses(agentPids())];
      const began = performance.now();
      await agents[0]?.restart();
      const agentRestarted = performance.now();
      await nodes[0]?.restart();
      return {
        'nats-server, MiB in memory': (ofServers?.memoryBytes ?? Number.NaN) / mebibyte,
        'agents, MiB in memory': (ofAgents?.memoryBytes ?? Number.NaN) / mebibyte,
        'agent, seconds from kill -9 to ready': (agentRestarted - began) / 1000,
        'nats-server, seconds from its stop to ready': (performance.now() - agentRestarted) / 1000,
      };
    },
    stop,
  };
}

async function connect({ url, entities }: Address): Promise<GrowthClient> {
  const mesh = await connectMesh({ servers: String(url).split(','), timeoutMs: 60_000 });
  const count = Number(entities);
  const versions = new Int32Array(count);
  const send = async (action: 'create' | 'adjust', index: number, data: { name: string } | { delta: number }) => {
    const expectedVersion = versions[index] ?? 0;
    const outcome = await mesh.request(inventoryContract, action, { entityId: `item-${index}`, expectedVersion, data });
    if (outcome.kind !== 'committed') throw new Error(`${action} was answered ${JSON.stringify(outcome)}`);
    versions[index] = outcome.payload.entity_version;
  };
  return {
    async create() {
      let next = 0;
      const work = async (): Promise<void> => {
        while (next < count) await send('create', next++, { name: 'bolt' });
      };
      await Promise.all(Array.from({ length: creations }, work));
    },
    update: async (worker, concurrency) => await send('adjust', pickOwn(count, worker, concurrency), { delta: 1 }),
    close: async () => await mesh.close(),
  };
}

/** MeshForge with so many entities, agents and servers. */
export function meshforgeOf(id: string, name: string, shape: Shape, onlyFull = false): Contender<GrowthClient> {
  const { entities, replicas = 1, servers = 1 } = shape;
  return {
    id,
    name,
    about: `adjust with expected_version; entities: ${entities}, agent processes: ${replicas}, servers: ${servers}`,
    durability: 'written',
    onlyFull,
    start: async (host) => await start(host, { entities, replicas, servers }),
    connect,
  };
}
