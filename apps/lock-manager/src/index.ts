import { lockContract } from '@meshforge/protocol';
import { defineAgent } from '@meshforge/runtime';
import { acquire, breakLease, cancel, expire, grant, leave, refresh, release, wait, withdraw } from './rules.ts';
import { Waiting } from './waiting.ts';

const { actions, expiryEvent } = lockContract;

/** The agent `sys_lock_manager`: leases with fencing tokens, one entity per resource, and the order of those who wait for it. */
export const lockManager = defineAgent({
  ...lockContract,
  actions: {
    acquire: { ...actions.acquire, entity: 'any', rule: acquire },
    refresh: { ...actions.refresh, entity: 'any', rule: refresh },
    release: { ...actions.release, entity: 'any', rule: release },
    cancel: { ...actions.cancel, entity: 'any', rule: cancel },
    break: { ...actions.break, entity: 'any', rule: breakLease, requestOnly: true },
    wait: { ...actions.wait, entity: 'any', rule: wait },
    grant: { ...actions.grant, entity: 'any', rule: grant },
    leave: { ...actions.leave, entity: 'any', rule: leave },
    withdraw: { ...actions.withdraw, entity: 'any', rule: withdraw },
  },
  lease: { expiryEvent, events: [actions.acquire.event], expire },
  companion: (host) => new Waiting(host),
});
