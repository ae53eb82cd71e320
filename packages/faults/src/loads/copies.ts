import { drawItem } from './items.ts';
import type { Load } from './load.ts';

/** Two copies of one command at once, on two connections, so that two replicas may decide them side by side. */
export const copies: Load = {
  name: 'copies',
  workers: 3,
  pauseMs: [20, 80],
  async turn(worker) {
    const { random, desk, client, otherClient, nextId } = worker;
    const commandId = nextId();
    const clients = [client, otherClient()] as const;
    if (random.chance(0.3)) {
      const data = { owner_id: worker.name, ttl_ms: random.int(500, 1_000) };
      const entityId = `copied ${random.int(1, 3)}`;
      await desk.sendTwice(clients, { agent: 'lock', action: 'acquire', commandId, entityId, data });
      return;
    }
    const entityId = await drawItem(worker);
    const data = { delta: random.int(1, 9) };
    await desk.sendTwice(clients, { agent: 'inventory', action: 'adjust', commandId, entityId, data });
  },
};

/**
 * Asks again for commands that have committed, or may have, some of them minutes ago and before many a restart: the first
 * outcome must come, and nothing be done twice.
 */
export const sameIdRetries: Load = {
  name: 'same-id-retries',
  workers: 3,
  pauseMs: [20, 80],
  async turn({ desk, client, random }) {
    await desk.askAgain(client, random);
  },
};
