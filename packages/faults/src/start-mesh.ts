import { Client } from './clients/client.ts';
import type { Death } from './mesh/agent-replica.ts';
import { TestedMesh } from './mesh/tested-mesh.ts';

/** The run was ended from outside. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The harness, not MeshForge, is in trouble; the message says how. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun';
}

/** What every kind of run is told. */
export interface MeshRunOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly replicas: 1 | 3;
  /** Replicas of each agent. */
  readonly agents: number;
  readonly signal: AbortSignal;
  /** Told what is going on, for people. */
  readonly onLine: (line: string) => void;
}

const clientCount = 6;

/** @throws CannotRun */
export async function startMesh(
  options: MeshRunOptions,
  onDeath: (death: Death) => void,
  streamReplicas = options.replicas,
): Promise<TestedMesh> {
  const { replicas, agents, onLine: onProgress } = options;
  try {
    return await TestedMesh.start({ replicas, agents, streamReplicas, clients: clientCount, onProgress, onDeath });
  } catch (error) {
    throw new CannotRun((error as Error).message, { cause: error });
  }
}

export async function connectClients(mesh: TestedMesh): Promise<Client[]> {
  return await Promise.all(mesh.clientLinks.map((links, index) => Client.connect(nameOfClient(index), links)));
}

/** @param index from 0 */
export function nameOfClient(index: number): string {
  return `client-${index + 1}`;
}
