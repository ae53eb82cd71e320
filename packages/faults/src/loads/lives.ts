import { isCommitted } from './items.ts';
import type { Load } from './load.ts';

const names = Array.from({ length: 4 }, (_, index) => `life ${index + 1}`);

/** Items that come and go, several workers on each: versions go on after a delete. */
export const lives: Load = {
  name: 'lives',
  workers: 3,
  pauseMs: [10, 80],
  async turn({ random, desk, client, nextId }) {
    const entityId = random.pick(names);
    const common = { agent: 'inventory', entityId } as const;
    const create = { ...common, action: 'create', commandId: nextId(), expectedVersion: 0, data: { name: 'fly' } };
    const created = await desk.sendOnce(client, create);
    for (let changes = random.int(0, 3); changes > 0; changes--) {
      const data = { delta: random.int(1, 5) };
      await desk.send(client, { ...common, action: 'adjust', commandId: nextId(), data });
    }
    if (!isCommitted(created) && random.chance(0.7)) return;
    await desk.sendOnce(client, { ...common, action: 'delete', commandId: nextId(), data: {} });
  },
};
