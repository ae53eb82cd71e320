import { setTimeout as sleep } from 'node:timers/promises';
import { entityStream } from '@meshforge/protocol';
import { createInbox } from '@nats-io/nats-core';
import { Client } from '../../src/clients/client.ts';
import type { AgentToken, Command } from '../../src/clients/command.ts';
import { TestedMesh, type MeshShape } from '../../src/mesh/tested-mesh.ts';

export interface TestMesh {
  readonly mesh: TestedMesh;
  readonly client: Client;
  readonly deaths: string[];
  stop(): Promise<void>;
}

export async function startTestMesh(shape: MeshShape): Promise<TestMesh> {
  const deaths: string[] = [];
  const onDeath = ({ name, log }: { name: string; log: string }): void => {
    deaths.push(name);
    process.stderr.write(`${name} has ended by itself:\n${log}\n`);
  };
  const mesh = await TestedMesh.start({ ...shape, clients: 2, onDeath, onProgress: () => {} });
  const client = await Client.connect('tester', mesh.clientLinks[0] ?? []);
  return {
    mesh,
    client,
    deaths,
    stop: async () => {
      await client.close();
      await mesh.stop();
    },
  };
}

let ids = 0;

export function create(entityId: string): Command {
  return { agent: 'inventory', action: 'create', commandId: `test-${++ids}`, entityId, data: { name: 'bolt' } };
}

export function adjust(entityId: string): Command {
  return { agent: 'inventory', action: 'adjust', commandId: `test-${++ids}`, entityId, data: { delta: 1 } };
}

export function acquire(entityId: string): Command {
  const data = { owner_id: 'tester', ttl_ms: 10_000 };
  return { agent: 'lock', action: 'acquire', commandId: `test-${++ids}`, entityId, data };
}

/** How many replicas of an agent say that they are there. */
export async function replicasThere({ mesh }: TestMesh, name: string): Promise<number> {
  const inbox = createInbox();
  let there = 0;
  const subscription = mesh.control.subscribe(inbox, { callback: () => void there++ });
  mesh.control.publish(`$SRV.PING.${name}`, '', { reply: inbox });
  await mesh.control.flush().catch(() => {});
  await sleep(300);
  subscription.unsubscribe();
  return there;
}

export async function storedIn({ mesh }: TestMesh, agent: AgentToken): Promise<number> {
  return (await mesh.manager.streams.info(entityStream(agent))).state.last_seq;
}
