import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { agentToken, entityStream, inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsServer, OnProgress } from '@meshforge/nats-server';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { Link } from '../proxy/link.ts';
import { OTHER_EVENTS } from '../reactor/mirroring.ts';
import { AgentReplica, type Death } from './agent-replica.ts';
import { startServers, type Servers } from './servers.ts';

/** What a mesh is made of; faults are drawn for it before it stands. */
export interface MeshShape {
  /** Servers, and replicas of each stream. */
  readonly replicas: 1 | 3;
  /** Replicas of each agent. */
  readonly agents: number;
}

export interface MeshOptions extends MeshShape {
  /** That streams begin with. Default: as many as there are servers. */
  readonly streamReplicas?: 1 | 3;
  /** Ways for clients: each has its own link to each server. */
  readonly clients: number;
  readonly onDeath: (death: Death) => void;
  readonly onProgress: OnProgress;
}

/** Under test, by their tokens. */
export const AGENTS: readonly { readonly agent: string; readonly name: string; readonly app: string }[] = [
  { agent: agentToken(inventoryContract.name), name: inventoryContract.name, app: '@meshforge/inventory' },
  { agent: agentToken(lockContract.name), name: lockContract.name, app: '@meshforge/lock-manager' },
];

/** Killed, frozen and cut off like an agent, and has no stream of its own. */
const reactor = {
  agent: 'reactor',
  folder: fileURLToPath(new URL('../..', import.meta.url)),
  module: join('dist', 'reactor', 'main.js'),
};
const ignoreDeath = (): void => {};

const infoTimeoutMs = 1_000;

/** Real servers, real agents, and links between all of them that can be disturbed. */
export class TestedMesh {
  readonly shape: MeshShape;
  readonly servers: Servers;
  readonly agents: readonly AgentReplica[];
  /** By client, then by server. */
  readonly clientLinks: readonly (readonly Link[])[];
  /** Straight to the servers, for whoever watches or sets limits. */
  readonly control: NatsConnection;
  readonly manager: JetStreamManager;

  private constructor(parts: Pick<TestedMesh, 'shape' | 'servers' | 'agents' | 'clientLinks' | 'control' | 'manager'>) {
    this.shape = parts.shape;
    this.servers = parts.servers;
    this.agents = parts.agents;
    this.clientLinks = parts.clientLinks;
    this.control = parts.control;
    this.manager = parts.manager;
  }

  /** Resolves when every agent serves; on failure nothing is left behind. */
  static async start(options: MeshOptions): Promise<TestedMesh> {
    const { replicas, agents: count, clients, onDeath, onProgress, streamReplicas = replicas } = options;
    const servers = await startServers(replicas, onProgress);
    const opened: { close(): Promise<unknown> }[] = [];
    const started: AgentReplica[] = [];
    try {
      const openLinks = async (party: string): Promise<Link[]> => {
        const links = await Promise.all(servers.nodes.map((node) => linkTo(node, party)));
        opened.push(...links);
        return links;
      };
      const clientLinks = await Promise.all(
        Array.from({ length: clients }, async (_, index) => await openLinks(`client ${index + 1}`)),
      );
      const control = await connectDirectly(servers.nodes, 'faults control');
      opened.push(control);
      const { resolve } = createRequire(import.meta.url);
      const apps = AGENTS.map(({ agent, app }) => {
        return { agent, folder: dirname(resolve(`${app}/package.json`)), module: join('dist', 'main.js') };
      });
      const plans = [...apps, reactor].flatMap((runs) =>
        Array.from({ length: count }, (_, index) => ({ ...runs, number: index + 1 })),
      );
      const starts = plans.map(async (plan) => {
        const links = await openLinks(`${plan.agent}-${plan.number}`);
        started.push(await AgentReplica.start({ ...plan, links, streamReplicas, onDeath }));
      });
      const failure = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
      const manager = await jetstreamManager(control, { checkAPI: false, timeout: infoTimeoutMs });
      const agents = started.toSorted((left, right) => left.name.localeCompare(right.name));
      return new TestedMesh({ shape: { replicas, agents: count }, servers, agents, clientLinks, control, manager });
    } catch (error) {
      await Promise.all(started.map((agent) => agent.stop()));
      await Promise.all(opened.map((each) => each.close()));
      await servers.stop();
      throw error;
    }
  }

  /** The server that leads an agent's stream now; undefined while nobody says so. */
  async leaderOf(agent: string): Promise<NatsServer | undefined> {
    const { nodes } = this.servers;
    if (nodes.length === 1) return nodes[0];
    const info = await this.manager.streams.info(entityStream(agent)).catch(() => undefined);
    return nodes.find((node) => node.name === info?.cluster?.leader);
  }

  /** A reaction of the same name in a release that follows fewer events. */
  async startOtherRelease(): Promise<AgentReplica> {
    const links = this.agents.find(({ agent }) => agent === reactor.agent)?.links ?? [];
    const env = { FAULTS_EVENTS: OTHER_EVENTS.join() };
    const { replicas } = this.shape;
    const plan = { ...reactor, number: 0, links, streamReplicas: replicas, env, onDeath: ignoreDeath };
    return await AgentReplica.start(plan);
  }

  connectDirectly(name: string): Promise<NatsConnection> {
    return connectDirectly(this.servers.nodes, name);
  }

  async stop(): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.stop()));
    await this.control.close();
    await this.servers.stop();
    const links = [...this.clientLinks.flat(), ...this.agents.flatMap((agent) => agent.links)];
    await Promise.all(links.map((link) => link.close()));
  }
}

async function linkTo(node: NatsServer, party: string): Promise<Link> {
  const name = `${party} to ${node.name ?? 'the server'}`;
  return await Link.open({ name, targetPort: node.port, speaks: 'client' });
}

async function connectDirectly(nodes: readonly NatsServer[], name: string): Promise<NatsConnection> {
  return await connect({
    servers: nodes.map((node) => node.url),
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    timeout: 2_000,
    // A frozen server is left after four to six seconds.
    pingInterval: 2_000,
    maxPingOut: 2,
  });
}
