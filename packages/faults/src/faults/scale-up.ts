import type { TestedMesh } from '../mesh/tested-mesh.ts';
import { persist } from '../persist.ts';
import type { Fault } from './fault.ts';

const withinMs = 120_000;

/** The streams, which began with one replica, get three under running agents. No server is taken away until they are there. */
export const scaleUp: Fault = {
  name: 'scale-up',
  lane: 'servers',
  isFor: ({ replicas }) => replicas > 1,
  isOnce: true,
  drawDurationMs: () => 0,
  async apply(mesh) {
    const { replicas } = mesh.shape;
    const names = await mesh.manager.streams.names().next();
    await persist('the growth of the streams', () => grow(mesh, names), withinMs);
    const heal = async (): Promise<void> =>
      await persist('the copies of the streams', () => look(mesh, names), withinMs);
    return { target: `${names.length} streams, to ${replicas} replicas`, heal };
  },
};

async function grow({ agents, manager, shape }: TestedMesh, names: readonly string[]): Promise<void> {
  for (const agent of agents) agent.streamReplicas = shape.replicas;
  for (const name of names) await manager.streams.update(name, { num_replicas: shape.replicas });
}

async function look({ manager, shape }: TestedMesh, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { cluster } = await manager.streams.info(name);
    const others = (cluster?.replicas ?? []).filter(({ current }) => current);
    if (others.length < shape.replicas - 1) throw new Error(`${name} has ${others.length} current copies`);
  }
}
