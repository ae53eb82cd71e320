/** Many clients at once: one wins per version, and nobody waits for another entity. */
import type { AgentClient } from '../agent-client.ts';
import { CheckFailed, fact } from '../check.ts';
import { expectConflict, expectItem } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { atOnce, together } from '../together.ts';
import { createItem, expectItemIs } from './steps.ts';

const clients = 20;
const chainLength = 10;
const burstLength = 200;

export const concurrencyChecks = [
  fact('of twenty clients that expect the same version exactly one succeeds', async (context) => {
    const id = await createItem(context);
    const connections = await atOnce(clients, async () => await context.connect());
    const replies = await together(
      connections.map(async (connection, index) => {
        const client = context.inventory.over(connection);
        return await client.send('update', id, { quantity: 100 + index }, { expect: 1 });
      }),
    );
    const winners = replies.filter((reply) => reply.outcome.kind === 'committed');
    expectEqual(`successes of ${clients} clients`, winners.length, 1);
    for (const loser of replies.filter((reply) => !winners.includes(reply))) expectConflict(loser, 1, 2);
    const [winner] = winners;
    if (winner === undefined) throw new CheckFailed('nobody won');
    const { quantity } = expectItem(winner, 'updated', 2);
    await expectItemIs(context, id, 2, { quantity });
    await context.events.atLeast(
      clients - 1,
      'evt.inventory.conflict',
      (event) => event.subject === 'evt.inventory.conflict' && event.payload['entity_id'] === id,
    );
  }),

  fact('two entities never conflict with each other', async (context) => {
    const ids = [await createItem(context, 0, 'left'), await createItem(context, 0, 'right')];
    await together(ids.map(async (id) => await guardedChain(context.inventory, id)));
    for (const id of ids) await expectItemIs(context, id, chainLength + 1, { quantity: chainLength });
  }),

  fact('a busy entity does not hold up another', async (context) => {
    const busy = await createItem(context, 0, 'busy');
    const idle = await createItem(context, 0, 'idle');
    let answered = 0;
    const burst = atOnce(burstLength, async () => {
      await context.inventory.send('adjust', busy, { delta: 1 });
      answered++;
    });
    const single = async (): Promise<void> => {
      const reply = await context.inventory.send('update', idle, { quantity: 1 }, { expect: 1 });
      expectItem(reply, 'updated', 2);
      expectThat('answers on the busy entity before that on the idle one', answered < burstLength, 'not all', answered);
    };
    await together([burst, single()]);
    await expectItemIs(context, busy, burstLength + 1, { quantity: burstLength });
  }),
];

/** Each step expects the version that the step before it made. */
async function guardedChain(inventory: AgentClient, id: string): Promise<void> {
  for (let version = 1; version <= chainLength; version++) {
    const reply = await inventory.send('update', id, { quantity: version }, { expect: version });
    expectItem(reply, 'updated', version + 1);
  }
}
