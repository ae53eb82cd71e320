/** Both agents as processes of their own, so that bad input could kill them, and clients to throw it at them. */
import { startNatsServer, type NatsServer, type StartOptions } from '@meshforge/nats-server';
import type { NatsConnection } from '@nats-io/nats-core';
import { startAgentProcess, type AgentProcess } from '../../support/agent-process.ts';
import { openConnection } from '../../support/wire.ts';
import { RawClient } from './raw-client.ts';

const app = (folder: string): URL => new URL(`../../../../../apps/${folder}/src/main.ts`, import.meta.url);

/** What the tests know of an agent. */
export interface AgentSpec {
  readonly name: string;
  /** Under which it speaks. */
  readonly token: string;
  readonly main: URL;
  /** A command that succeeds on an entity which is not there, as often as you like with other entities. */
  readonly good: { readonly action: string; readonly event: string; readonly data: Readonly<Record<string, unknown>> };
}

export const INVENTORY: AgentSpec = {
  name: 'inventory',
  token: 'inventory',
  main: app('inventory'),
  good: { action: 'create', event: 'created', data: { name: 'bolt', quantity: 10 } },
};

export const LOCKS: AgentSpec = {
  name: 'sys_lock_manager',
  token: 'lock',
  main: app('lock-manager'),
  // No lease ends while a test looks.
  good: { action: 'acquire', event: 'acquired', data: { owner_id: 'edge', ttl_ms: 86_400_000 } },
};

export const AGENTS = [INVENTORY, LOCKS] as const;

export interface Mesh {
  readonly server: NatsServer;
  readonly agents: ReadonlyMap<string, AgentProcess>;
  readonly client: NatsConnection;
  readonly raw: RawClient;
  stop(): Promise<void>;
}

export async function startMesh(options: StartOptions = {}): Promise<Mesh> {
  const server = await startNatsServer(options);
  const agents = new Map<string, AgentProcess>();
  try {
    const started = await Promise.all(
      AGENTS.map(({ name, main }) => startAgentProcess({ name, main, natsUrl: server.url })),
    );
    for (const [i, { name }] of AGENTS.entries()) agents.set(name, started[i] as AgentProcess);
    const client = await openConnection(server.url);
    const raw = await RawClient.open(server.port);
    return {
      server,
      agents,
      client,
      raw,
      stop: async () => {
        await raw.close();
        await client.close();
        await Promise.all(started.map((agent) => agent.stop()));
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
