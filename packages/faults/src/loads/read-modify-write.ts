import { inventoryContract } from '@meshforge/protocol';
import { MeshError } from '@meshforge/runtime';
import { drawItem } from './items.ts';
import type { Load } from './load.ts';

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
