import type { Command } from '../clients/command.ts';
import { drawItem, TOO_MUCH } from './items.ts';
import type { Load, Worker } from './load.ts';

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
