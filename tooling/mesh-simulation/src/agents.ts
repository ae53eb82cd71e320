import { commit, defineAgent, reject } from '@meshforge/runtime';
import { lockManager } from '@meshforge/lock-manager';
import { z } from 'zod';

const stockState = z.object({ total: z.int(), commands: z.int() });

/** Counts: what it says shows which commands it has executed. */
export const stock = defineAgent({
  name: 'stock',
  state: stockState,
  actions: {
    add: {
      data: z.object({ by: z.int() }),
      event: 'added',
      entity: 'any',
      rule: (state, { by }) => {
        const { commands, total } = state ?? { total: 0, commands: 0 };
        if (total + by < 0) return reject('negative', `${total} are there, ${-by} are to be taken`);
        return commit({ total: total + by, commands: commands + 1 }, { data: { by } });
      },
    },
    close: { data: z.object({}), event: 'closed', entity: 'present', rule: () => null },
    boom: {
      data: z.object({}),
      event: 'boomed',
      entity: 'any',
      rule: () => {
        throw new Error('a defect of the rule');
      },
    },
  },
});

/** Notes what a reaction tells it. */
export const journal = defineAgent({
  name: 'journal',
  state: z.object({ notes: z.int() }),
  actions: {
    note: {
      data: z.object({ version: z.int() }),
      event: 'noted',
      entity: 'any',
      rule: (state, { version }) => commit({ notes: (state?.notes ?? 0) + 1 }, { data: { version } }),
    },
  },
});

export const AGENTS = { stock, journal, lock: lockManager } as const;
export type AgentName = keyof typeof AGENTS;
