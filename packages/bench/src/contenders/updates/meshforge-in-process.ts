import { inventory } from '@meshforge/inventory';
import { startAgent } from '@meshforge/runtime';
import type { Contender, UpdateClient } from '../../contender.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { sharedNatsServer } from '../../servers/nats.ts';

/** The commit path inside the agent: all but the way from the client to the agent and back. */
export const meshforgeInProcess: Contender<UpdateClient> = {
  id: 'meshforge-in-process',
  name: 'MeshForge, in the agent',
  about: 'commands of the agent’s own process (agent.execute): the commit path without request/reply',
  durability: 'written',
  async start(host) {
    const nats = await sharedNatsServer(host);
    return {
      address: { url: nats.url },
      versions: { '@meshforge/runtime': libraryVersion('@meshforge/runtime'), 'nats-server': nats.version },
      pids: () => [nats.pid],
      stop: () => Promise.resolve(),
    };
  },
  async connect({ url }) {
    const agent = await startAgent({ ...inventory, name: 'inventory_in_process' }, { nats: { servers: String(url) } });
    const execute = async (action: string, entityId: string, expectedVersion: number): Promise<number> => {
      const data = action === 'create' ? { name: 'bolt', quantity: 1_000 } : { delta: 1 };
      const outcome = await agent.execute(action, { entityId, expectedVersion, data });
      if (outcome.kind !== 'committed') throw new Error(`${action} was answered ${JSON.stringify(outcome)}`);
      return outcome.payload.entity_version;
    };
    return {
      create: async (entities) => await Promise.all(entities.map((entity) => execute('create', entity, 0))),
      update: async (entity, version) => await execute('adjust', entity, version),
      close: async () => await agent.stop(),
    };
  },
};
