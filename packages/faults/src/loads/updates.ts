import { inventoryContract } from '@meshforge/protocol';
import { MeshError } from '@meshforge/runtime';
import { drawItem } from './items.ts';
import type { Load } from './load.ts';

/** Changes that expect the version last heard of: at most one of those that expect the same may commit. */
export const guardedUpdates: Load = {
  name: 'guarded-updates',
  workers: 4,
  pauseMs: [5, 40],
  async turn(worker) {
    const { random, desk, client, nextId } = worker;
    const entityId = await drawItem(worker);
    const expectedVersion = desk.versionOf(entityId);
    if (expectedVersion === undefined) return;
    const commandId = nextId();
    const data = { delta: random.int(1, 9) * random.pick([-1, 1]) };
    const command = { agent: 'inventory', action: 'adjust', commandId, entityId, expectedVersion, data } as const;
    // A version that has passed never comes back, so a conflict is true of every copy.
    await (random.chance(0.5) ? desk.send(client, command) : desk.sendOnce(client, command));
  },
};

/** Changes that may come in any order: the agent itself settles who comes first. */
export const unguardedUpdates: Load = {
  name: 'unguarded-updates',
  workers: 6,
  pauseMs: [5, 40],
  async turn(worker) {
    const { random, desk, client, nextId } = worker;
    const entityId = await drawItem(worker);
    const commandId = nextId();
    const data = random.chance(0.3) ? { name: commandId } : { delta: random.int(1, 9) * random.pick([-1, 1]) };
    const action = 'delta' in data ? 'adjust' : 'update';
    await desk.send(client, { agent: 'inventory', action, commandId, entityId, data });
  },
};

/** Reads an item from its agent, and writes what follows from it, expecting the version that was read. */
export const readModifyWrite: Load = {
  name: 'read-modify-write',
  workers: 3,
  pauseMs: [10, 60],
  async turn(worker) {
    const { desk, client, nextId } = worker;
    const entityId = await drawItem(worker);
    let found;
    try {
      found = await client.mesh.get(inventoryContract, entityId);
    } catch (error) {
      // A query that is not answered changes nothing.
      if (error instanceof MeshError) return;
      throw error;
    }
    if (found === undefined) return;
    const commandId = nextId();
    const data = { quantity: found.state.quantity + 1 };
    const expectedVersion = found.entity_version;
    await desk.sendOnce(client, { agent: 'inventory', action: 'update', commandId, entityId, expectedVersion, data });
  },
};
