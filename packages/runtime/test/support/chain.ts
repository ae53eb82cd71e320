/** Three agents in a row: what is counted by the first leads to the same by the second, and that to the third. */
import { defineContract } from '@meshforge/protocol';
import { z } from 'zod';
import {
  command,
  commit,
  defineAgent,
  startAgent,
  type Mesh,
  type RunningAgent,
  type RunningReaction,
} from '../../src/index.ts';

const Count = z.strictObject({ n: z.int() });

function contractOf(name: string) {
  return defineContract({
    name,
    description: 'Counts.',
    state: Count,
    actions: {
      add: {
        description: 'Adds.',
        data: z.strictObject({ by: z.int() }),
        event: 'added',
        eventData: z.object({ by: z.int() }),
      },
    },
  });
}

export const first = contractOf('first');
export const second = contractOf('second');
export const third = contractOf('third');

export function agentOf(contract: typeof first) {
  return defineAgent({
    ...contract,
    actions: {
      add: {
        ...contract.actions.add,
        entity: 'any',
        rule: (state, { by }) => commit({ n: (state?.n ?? 0) + by }, { data: { by } }),
      },
    },
  });
}

export async function startChainAgents(servers: string, streamReplicas: 1 | 3 = 1): Promise<RunningAgent[]> {
  const agents: RunningAgent[] = [];
  for (const contract of [first, second, third]) {
    const nats = { servers: servers.split(','), waitOnFirstConnect: true };
    agents.push(await startAgent(agentOf(contract), { nats, streamReplicas }));
  }
  return agents;
}

/** What is added to one is added to the next. */
export async function follow(mesh: Mesh, from: typeof first, to: typeof first): Promise<RunningReaction> {
  return await mesh.react(from, { name: `${from.name}_to_${to.name}` }, ({ data, entityId }) =>
    command(to, 'add', { entityId, data: { by: Number(data?.['by']) } }),
  );
}
