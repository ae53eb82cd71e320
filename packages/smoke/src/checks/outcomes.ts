/** What became of a command can be asked, by its id and the entity's. */
import { HEADERS, OutcomeResult } from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { expectItem, expectRejected } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { createItem } from './steps.ts';

export const outcomeChecks = [
  fact('qry.inventory.outcome answers the event and payload of a committed command', async (context) => {
    const id = await createItem(context);
    const commandId = context.newId('asked-for');
    const headers = { [HEADERS.commandId]: commandId };
    const reply = await context.inventory.send('adjust', id, { delta: 1 }, { headers });
    expectItem(reply, 'adjusted', 2);
    // The entity goes on; what became of the command stays as it was.
    expectItem(await context.inventory.send('adjust', id, { delta: 5 }), 'adjusted', 3);
    expectEqual('outcome', await outcomeOf(context, id, commandId), {
      entity_id: id,
      command_id: commandId,
      status: 'committed',
      event: reply.event,
      payload: reply.payload,
    });
  }),

  fact('qry.inventory.outcome of a command that nobody sent, or of a refused request, is unknown', async (context) => {
    const id = await createItem(context);
    const commandId = context.newId('refused');
    const headers = { [HEADERS.commandId]: commandId };
    const reply = await context.inventory.send('adjust', id, { delta: -1_000 }, { headers });
    expectRejected(reply, 'insufficient_stock');
    for (const asked of [commandId, context.newId('never-sent')]) {
      expectEqual(`outcome of ${asked}`, await outcomeOf(context, id, asked), {
        entity_id: id,
        command_id: asked,
        status: 'unknown',
      });
    }
  }),
];

/** The answer of `qry.inventory.outcome`. */
export async function outcomeOf(context: CheckContext, entityId: string, commandId: string): Promise<OutcomeResult> {
  const query = { entity_id: entityId, command_id: commandId };
  return await context.inventory.query('outcome', query, OutcomeResult);
}
