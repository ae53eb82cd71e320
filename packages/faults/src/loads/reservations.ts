import { drawItem, isCommitted } from './items.ts';
import type { Load, Worker } from './load.ts';

interface Held {
  readonly entityId: string;
  readonly orderId: string;
}

const mostHeld = 5;

/** Sets stock aside, and later takes it out or gives it back. */
export const reservations: Load = {
  name: 'reservations',
  workers: 3,
  pauseMs: [10, 60],
  async turn(worker) {
    const { random, desk, client, nextId } = worker;
    const held = heldBy(worker);
    const commandId = nextId();
    if (held.length < mostHeld && random.chance(0.5)) {
      const entityId = await drawItem(worker);
      const data = { order_id: commandId, quantity: random.int(1, 3) };
      const answer = await desk.send(client, { agent: 'inventory', action: 'reserve', commandId, entityId, data });
      // Without an answer it may be held as well: it is tried to be given back like the others.
      if (answer === undefined || isCommitted(answer)) held.push({ entityId, orderId: commandId });
      return;
    }
    const next = held.shift();
    if (next === undefined) return;
    const { entityId, orderId } = next;
    const action = random.pick(['release', 'fulfil']);
    const command = { agent: 'inventory', action, commandId, entityId, data: { order_id: orderId } } as const;
    // Sent once: if the reservation itself is still on its way, "unknown" is a reason that can pass.
    await desk.sendOnce(client, command);
  },
};

function heldBy({ memory }: Worker): Held[] {
  const held = (memory.get('held') ?? []) as Held[];
  memory.set('held', held);
  return held;
}
