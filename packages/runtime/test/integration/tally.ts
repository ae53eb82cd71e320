import { defineContract } from '@meshforge/protocol';
import { z } from 'zod';
import { commit, defineAgent } from '../../src/index.ts';

const Tally = z.strictObject({ n: z.int(), note: z.string() });

/** What the clients of the agent `tally` know of it. */
export const tallyContract = defineContract({
  name: 'tally',
  description: 'Counts.',
  state: Tally,
  actions: {
    open: { description: 'Begins a count.', data: z.strictObject({ note: z.string().default('') }), event: 'opened' },
    add: {
      description: 'Adds to a count.',
      data: z.strictObject({ by: z.int() }),
      event: 'added',
      eventData: z.object({ by: z.int() }),
    },
    close: { description: 'Ends a count.', data: z.strictObject({}), event: 'closed' },
  },
});

const { actions } = tallyContract;

/** The simplest agent with a life cycle: nothing in it can refuse but the runtime itself. */
export const tally = defineAgent({
  ...tallyContract,
  actions: {
    open: { ...actions.open, entity: 'absent', rule: (_none, { note }) => ({ n: 0, note }) },
    add: {
      ...actions.add,
      entity: 'present',
      rule: (state, { by }) => commit({ ...state, n: state.n + by }, { data: { by } }),
    },
    close: { ...actions.close, entity: 'present', rule: () => null },
  },
});
