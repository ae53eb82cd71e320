import { drawItem } from './items.ts';
import type { Load } from './load.ts';

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
