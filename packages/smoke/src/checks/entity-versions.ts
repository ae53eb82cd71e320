/** Each entity counts its own versions: 1, 2, 3, … */
import { entityStream, inventoryContract } from '@meshforge/protocol';
import { fact } from '../check.ts';
import { expectItem } from '../expect-outcome.ts';
import { expectEqual, expectPresent, expectThat } from '../expect.ts';
import { atOnce } from '../together.ts';
import { createItem, createUpdatedItem, expectItemIs } from './steps.ts';

export const entityVersionChecks = [
  fact('a created entity has version 1', async (context) => {
    const id = context.newItem();
    const reply = await context.inventory.send('create', id, { name: 'Blue mug', quantity: 12 });
    const item = expectItem(reply, 'created', 1);
    expectEqual('entity_id in the reply', reply.payload['entity_id'], id);
    expectEqual('state in the reply', item, { name: 'Blue mug', quantity: 12, reserved: 0, reservations: {} });
  }),

  fact('expected_version 0 creates an entity that does not exist', async (context) => {
    const id = context.newItem();
    expectItem(await context.inventory.send('create', id, { name: 'smoke' }, { expect: 0 }), 'created', 1);
  }),

  fact('an update that expects the current version makes the next one', async (context) => {
    const id = await createItem(context);
    const reply = await context.inventory.send('update', id, { quantity: 15 }, { expect: 1 });
    expectEqual('quantity', expectItem(reply, 'updated', 2).quantity, 15);
    await expectItemIs(context, id, 2, { quantity: 15 });
  }),

  fact('a success event is on the wire with the new entity_version and the payload of the reply', async (context) => {
    const id = await createItem(context);
    const reply = await context.inventory.send('update', id, { quantity: 15 }, { expect: 1 });
    expectItem(reply, 'updated', 2);
    const event = await context.events.announced(reply);
    expectEqual('subject of the event', event.subject, 'evt.inventory.updated');
    expectEqual('entity_version of the event', event.payload['entity_version'], 2);
  }),

  fact('a success event carries Nats-Stream and a Nats-Sequence that grows', async (context) => {
    const id = context.newItem();
    const created = await context.inventory.send('create', id, { name: 'smoke' });
    const updated = await context.inventory.send('update', id, { quantity: 3 }, { expect: 1 });
    const sequences: number[] = [];
    for (const reply of [created, updated]) {
      const event = await context.events.announced(reply);
      expectEqual('Nats-Stream', event.header('Nats-Stream'), entityStream(inventoryContract.name));
      expectPresent('Nats-Time-Stamp', event.header('Nats-Time-Stamp'));
      const sequence = Number(event.header('Nats-Sequence'));
      expectThat(
        'Nats-Sequence',
        Number.isInteger(sequence) && sequence > 0,
        'a number',
        event.header('Nats-Sequence'),
      );
      sequences.push(sequence);
    }
    const [first = 0, second = 0] = sequences;
    expectThat('Nats-Sequence of the second commit', second > first, `more than ${first}`, second);
  }),

  fact('an adjust without expected_version applies to whatever version there is', async (context) => {
    const id = await createUpdatedItem(context);
    const item = expectItem(await context.inventory.send('adjust', id, { delta: -5 }), 'adjusted', 3);
    expectEqual('quantity', item.quantity, 15);
  }),

  fact('twenty unguarded adjusts at once all apply, each with a version of its own', async (context) => {
    const id = await createItem(context, 100);
    const replies = await atOnce(20, async () => await context.inventory.send('adjust', id, { delta: 1 }));
    const versions = replies.map((reply) => Number(reply.payload['entity_version'])).sort((a, b) => a - b);
    expectEqual(
      'versions of the replies',
      versions,
      Array.from({ length: 20 }, (_, index) => index + 2),
    );
    await expectItemIs(context, id, 21, { quantity: 120 });
  }),
];
