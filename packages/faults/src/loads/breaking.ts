import type { Load } from './load.ts';
import { queues } from './waiting.ts';

/** An operator ends leases, whoever holds them. */
export const breaking: Load = {
  name: 'breaking',
  workers: 1,
  pauseMs: [100, 400],
  async turn({ random, name, desk, client, nextId }) {
    const entityId = random.pick(queues);
    const data = { reason: 'maintenance', ...(random.chance(0.5) ? { operator_id: name } : {}) };
    await desk.sendOnce(client, { agent: 'lock', action: 'break', commandId: nextId(), entityId, data });
  },
};
