/** I6: agents tell of a refusal only where there was a command. */
import type { Heard } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { isSignal } from './events-of-commits.ts';

export const signalsOfCommands: Invariant = {
  name: 'I6',
  create: ({ breach, ledger, step }) => {
    /** Of commands that were not known to have been sent when it was heard. */
    const unclaimed: Heard[] = [];
    return {
      onHeard(heard) {
        if (isSignal(heard) && ledger.command(heard.commandId) === undefined) unclaimed.push(heard);
      },

      finish() {
        for (const heard of unclaimed) {
          step();
          if (ledger.command(heard.commandId) !== undefined) continue;
          const what = `an event ${heard.event} of ${heard.agent} is about command ${heard.commandId}`;
          breach(`${what}, which nobody sent`, [heard]);
        }
      },
    };
  },
};
