import { lockContract } from '@meshforge/protocol';
import { defineAgent } from '@meshforge/runtime';
import { acquire, expire, refresh, release } from './rules.ts';

const { actions, expiryEvent } = lockContract;

/** The agent `sys_lock_manager`: leases with fencing tokens, one entity per resource. */
export const lockManager = defineAgent({
  ...lockContract,
  actions: {
    acquire: { ...actions.acquire, entity: 'any', rule: acquire },
    refresh: { ...actions.refresh, entity: 'any', rule: refresh },
    release: { ...actions.release, entity: 'any', rule: release },
  },
  lease: { expiryEvent, expire },
});
