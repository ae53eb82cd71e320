import type { Command } from '../clients/command.ts';
import { drawItem, isCommitted, TOO_MUCH } from './items.ts';
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

type Draft = Pick<Command, 'action' | 'data' | 'expectedVersion'> & { readonly entityId?: string };

const drafts: readonly ((worker: Worker) => Draft)[] = [
  () => ({ action: 'create', data: { name: 'nut' } }),
  ({ name }) => ({ action: 'reserve', data: { order_id: `greedy ${name}`, quantity: TOO_MUCH } }),
  () => ({ action: 'adjust', data: { delta: -TOO_MUCH } }),
  () => ({ action: 'release', data: { order_id: 'nobody' } }),
  () => ({ action: 'adjust', data: { delta: 1 }, entityId: 'never created' }),
  () => ({ action: 'adjust', data: { delta: 1 }, expectedVersion: 1_000_000_000 }),
  () => ({ action: 'adjust', data: { delta: 1.5 } }),
];

/** Commands that the agent must refuse, each for another reason; none may ever be in the log. */
export const refusals: Load = {
  name: 'refusals',
  workers: 2,
  pauseMs: [20, 80],
  async turn(worker) {
    const { random, desk, client, nextId } = worker;
    const item = await drawItem(worker);
    const draft = random.pick(drafts)(worker);
    await desk.sendOnce(client, { agent: 'inventory', commandId: nextId(), entityId: item, ...draft });
  },
};

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
