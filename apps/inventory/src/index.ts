import { inventoryContract } from '@meshforge/protocol';
import { defineAgent } from '@meshforge/runtime';
import { adjust, create, fulfil, release, remove, reserve, update } from './rules.ts';

const { actions } = inventoryContract;

/** The agent `inventory`: stock on hand and reservations, one entity per stock item. */
export const inventory = defineAgent({
  ...inventoryContract,
  actions: {
    create: { ...actions.create, entity: 'absent', rule: create },
    update: { ...actions.update, entity: 'present', rule: update },
    adjust: { ...actions.adjust, entity: 'present', rule: adjust },
    reserve: { ...actions.reserve, entity: 'present', rule: reserve },
    release: { ...actions.release, entity: 'present', rule: release },
    fulfil: { ...actions.fulfil, entity: 'present', rule: fulfil },
    delete: { ...actions.delete, entity: 'present', rule: remove },
  },
});
