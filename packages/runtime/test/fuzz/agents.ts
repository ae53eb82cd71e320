/** Agents to be fuzzed: the contracts that ship, with rules as small as they can be. */
import { inventoryContract, lockContract, type InventoryState, type LockState } from '@meshforge/protocol';
import { commit, defineAgent, reject } from '../../src/core/agent.ts';

const { actions: stock } = inventoryContract;
const { actions: locks, expiryEvent } = lockContract;

const keep = (state: InventoryState): InventoryState => state;

/** Every command but `create` leaves an item as it is; `delete` removes it. */
export const items = defineAgent({
  ...inventoryContract,
  actions: {
    create: {
      ...stock.create,
      entity: 'absent',
      rule: (_none, { name, quantity }) => ({ name, quantity, reserved: 0, reservations: {} }),
    },
    update: { ...stock.update, entity: 'present', rule: (state, { name = state.name }) => ({ ...state, name }) },
    adjust: { ...stock.adjust, entity: 'present', rule: (state, { delta }) => commit(state, { data: { delta } }) },
    reserve: { ...stock.reserve, entity: 'present', rule: () => reject('insufficient_stock', 'there is none') },
    release: { ...stock.release, entity: 'present', rule: keep },
    fulfil: { ...stock.fulfil, entity: 'present', rule: keep },
    delete: { ...stock.delete, entity: 'present', rule: () => null },
  },
});

/** Whoever comes gets the lock for a minute. */
export const leases = defineAgent({
  ...lockContract,
  actions: {
    acquire: { ...locks.acquire, entity: 'any', rule: (_, { owner_id: owner }, { now }) => lease(owner, now) },
    refresh: { ...locks.refresh, entity: 'any', rule: () => reject('not_held', 'nobody holds it') },
    release: { ...locks.release, entity: 'any', rule: (_, { owner_id: owner }, { now }) => lease(owner, now).state },
  },
  lease: { expiryEvent, events: ['acquired'], expire: (state) => ({ ...state, owner_id: null }) },
});

function lease(owner: string, now: number): ReturnType<typeof commit<LockState>> {
  const [at, until] = [now, now + 60_000].map((ms) => new Date(ms).toISOString()) as [string, string];
  const state = { owner_id: owner, fencing_token: 1, acquired_at: at, expires_at: until };
  return commit(state, { expiresAt: now + 60_000 });
}
