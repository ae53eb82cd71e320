/** Stock set aside for orders. */
import { fact } from '../check.ts';
import { expectItem, expectRejected, expectRuleRejection } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { atOnce } from '../together.ts';
import { createItem, expectItemIs } from './steps.ts';

const order = { order_id: 'order-1' };

export const reservationChecks = [
  fact('a reservation sets stock aside and leaves the quantity on hand', async (context) => {
    const id = await createItem(context, 10);
    const reply = await context.inventory.send('reserve', id, { ...order, quantity: 4 }, { expect: 1 });
    const item = expectItem(reply, 'reserved', 2);
    expectEqual('quantity and reserved', [item.quantity, item.reserved], [10, 4]);
    expectEqual('data of the event', (await context.events.announced(reply)).payload['data'], {
      ...order,
      quantity: 4,
    });
  }),

  fact('a released reservation is stock again', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 4 }), 'reserved', 2);
    const reply = await context.inventory.send('release', id, order, { expect: 2 });
    const item = expectItem(reply, 'released', 3);
    expectEqual('quantity and reserved', [item.quantity, item.reserved], [10, 0]);
    expectEqual('data of the event', (await context.events.announced(reply)).payload['data'], {
      ...order,
      quantity: 4,
    });
  }),

  fact('a fulfilled reservation leaves the stock', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 4 }), 'reserved', 2);
    const reply = await context.inventory.send('fulfil', id, order, { expect: 2 });
    const item = expectItem(reply, 'fulfilled', 3);
    expectEqual('quantity and reserved', [item.quantity, item.reserved], [6, 0]);
    await context.events.announced(reply);
  }),

  fact('a reservation of more than is free is rejected with insufficient_stock', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 8 }), 'reserved', 2);
    const reply = await context.inventory.send('reserve', id, { order_id: 'order-2', quantity: 3 });
    expectRejected(reply, 'insufficient_stock');
    await context.events.announced(reply);
    await expectItemIs(context, id, 2, { quantity: 10, reserved: 8 });
  }),

  fact('an adjust takes nothing that is reserved: insufficient_stock', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 8 }), 'reserved', 2);
    expectRejected(await context.inventory.send('adjust', id, { delta: -3 }), 'insufficient_stock');
    expectItem(await context.inventory.send('adjust', id, { delta: -2 }), 'adjusted', 3);
  }),

  fact('an update cannot set the quantity below what is reserved', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 8 }), 'reserved', 2);
    expectRuleRejection(await context.inventory.send('update', id, { quantity: 7 }));
    await expectItemIs(context, id, 2, { quantity: 10, reserved: 8 });
  }),

  fact('an order holds one reservation of an item, not two', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('reserve', id, { ...order, quantity: 1 }), 'reserved', 2);
    expectRuleRejection(await context.inventory.send('reserve', id, { ...order, quantity: 1 }));
    await expectItemIs(context, id, 2, { reserved: 1 });
  }),

  fact('an order that holds nothing can neither release nor fulfil: unknown_reservation', async (context) => {
    const id = await createItem(context, 10);
    expectRejected(await context.inventory.send('release', id, order), 'unknown_reservation');
    expectRejected(await context.inventory.send('fulfil', id, order), 'unknown_reservation');
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),

  fact('ten orders that want one of five pieces at once: five get one', async (context) => {
    const id = await createItem(context, 5);
    const replies = await atOnce(10, async (index) => {
      return await context.inventory.send('reserve', id, { order_id: `order-${index}`, quantity: 1 });
    });
    const refused = replies.filter((reply) => reply.outcome.kind !== 'committed');
    expectEqual('orders that got none', refused.length, 5);
    for (const reply of refused) expectRejected(reply, 'insufficient_stock');
    await expectItemIs(context, id, 6, { quantity: 5, reserved: 5 });
  }),
];
