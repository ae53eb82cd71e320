/** I6: agents tell of a refusal only where there was a command, and that a lease was taken only where it was. */
import type { Heard } from '../../history.ts';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { isNotice, isSignal } from './events-of-commits.ts';

export const signals: Invariant = {
  name: 'I6',
  create: ({ breach, ledger, step }) => {
    /** Of commands that were not known to have been sent when it was heard. */
    const unclaimed: Heard[] = [];
    const notices: Heard[] = [];
    /** Leases, as notices tell of them. */
    const taken = new Set<string>();
    return {
      onLogged({ entry: { agent, data, entityId, state } }) {
        const token = lockOf(agent, state)?.fencing_token;
        if (data?.['cause'] !== undefined) taken.add(JSON.stringify([entityId, token, data['cause']]));
      },

      onHeard(heard) {
        if (isNotice(heard)) notices.push(heard);
        else if (isSignal(heard) && ledger.command(heard.commandId) === undefined) unclaimed.push(heard);
      },

      finish() {
        for (const heard of unclaimed) {
          step();
          if (ledger.command(heard.commandId) !== undefined) continue;
          const what = `an event ${heard.event} of ${heard.agent} is about command ${heard.commandId}`;
          breach(`${what}, which nobody sent`, [heard]);
        }
        for (const heard of notices) {
          step();
          const { cause, entity_id: entityId, fencing_token: token } = heard.payload;
          if (taken.has(JSON.stringify([entityId, token, cause]))) continue;
          const what = `the lease ${String(token)} of lock ${String(entityId)} was told to be ${String(cause)}`;
          breach(`${what}, and was not`, [heard]);
        }
      },
    };
  },
};
