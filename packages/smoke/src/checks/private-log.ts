/** The log of commits is the agent's alone: nobody can make the agent write an answer into it. */
import { encode, entitySubject, HistoryResult, inventoryContract } from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { expectItem } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { createItem } from './steps.ts';

export const privateLogChecks = [
  fact('a command whose reply subject is an entity’s log writes no answer into that log', async (context) => {
    await expectNothingWritten(context, 'cmd.inventory.update', { data: {} });
  }),

  fact('a query whose reply subject is an entity’s log writes no answer into that log', async (context) => {
    await expectNothingWritten(context, 'qry.inventory.get', {});
  }),
];

/** The request itself changes nothing, so the log must hold what the check wrote and not one message more. */
async function expectNothingWritten(context: CheckContext, subject: string, body: object): Promise<void> {
  const id = await createItem(context);
  const reply = entitySubject(inventoryContract.name, id, 0, 'created');
  context.connection.publish(subject, encode({ entity_id: id, ...body }), { reply });
  await context.connection.flush();
  // The agent has taken the forged request before this one, or takes both at once.
  await context.inventory.queryRefused('get', { entity_id: context.newItem('absent') });
  await context.sleep(50);
  const later = await context.inventory.send('update', id, { quantity: 11 }, { expect: 1 });
  expectItem(later, 'updated', 2);
  await context.events.announced(later);
  const { events } = await context.inventory.query('history', { entity_id: id }, HistoryResult);
  expectEqual(
    'versions in the log',
    events.map((event) => event.entity_version),
    [2, 1],
  );
  const written = context.events.seen(
    (event) =>
      event.header('Nats-Sequence') !== undefined && JSON.stringify(event.payload).includes(JSON.stringify(id)),
  );
  expectEqual(
    'commits on the wire',
    written.map((event) => event.subject),
    ['evt.inventory.created', 'evt.inventory.updated'],
  );
}
