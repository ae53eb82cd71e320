/** A deleted entity is gone, but its versions are not used again. */
import { fact } from '../check.ts';
import { expectCommitted, expectConflict, expectItem, expectRejected, expectRuleRejection } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { createItem, expectItemIs } from './steps.ts';

export const deletionChecks = [
  fact('a delete is a version of its own, with state null', async (context) => {
    const id = await createItem(context);
    const reply = await context.inventory.send('delete', id, {}, { expect: 1 });
    expectEqual('state', expectCommitted(reply, 'evt.inventory.deleted', 2).state, null);
    await context.events.announced(reply);
  }),

  fact('a deleted entity is not found', async (context) => {
    const id = await createItem(context);
    expectCommitted(await context.inventory.send('delete', id), 'evt.inventory.deleted', 2);
    expectRejected(await context.inventory.queryRefused('get', { entity_id: id }), 'not_found');
    expectRejected(await context.inventory.send('adjust', id, { delta: 1 }), 'not_found');
    expectRejected(await context.inventory.send('delete', id), 'not_found');
  }),

  fact('an entity that is created again goes on counting versions', async (context) => {
    const id = await createItem(context);
    expectCommitted(await context.inventory.send('delete', id), 'evt.inventory.deleted', 2);
    expectItem(await context.inventory.send('create', id, { name: 'again' }, { expect: 0 }), 'created', 3);
    await expectItemIs(context, id, 3, { name: 'again', quantity: 0 });
  }),

  fact('a version from before the delete is stale after it', async (context) => {
    const id = await createItem(context);
    expectCommitted(await context.inventory.send('delete', id), 'evt.inventory.deleted', 2);
    expectConflict(await context.inventory.send('update', id, { quantity: 1 }, { expect: 1 }), 1, 0);
    expectConflict(await context.inventory.send('update', id, { quantity: 1 }, { expect: 2 }), 2, 0);
    expectItem(await context.inventory.send('create', id, { name: 'again' }), 'created', 3);
    expectConflict(await context.inventory.send('update', id, { quantity: 1 }, { expect: 1 }), 1, 3);
  }),

  fact('an item with open reservations cannot be deleted', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { order_id: 'order-1', quantity: 1 }), 'reserved', 2);
    expectRuleRejection(await context.inventory.send('delete', id));
    await expectItemIs(context, id, 2, { quantity: 10, reserved: 1 });
  }),
];
