/** A command id commits at most once; asking again gives the first outcome. */
import { HEADERS } from '@meshforge/protocol';
import { fact } from '../check.ts';
import { expectItem, expectLock, expectRejected, expectReplayed } from '../expect-outcome.ts';
import { expectEqual, expectPresent, expectThat } from '../expect.ts';
import { atOnce } from '../together.ts';
import { createItem, expectItemIs } from './steps.ts';

export const retryChecks = [
  fact(
    'a retry with the same Mesh-Command-Id gets the same outcome, marked Mesh-Replayed, and changes nothing',
    async (context) => {
      const id = await createItem(context, 10);
      const headers = { [HEADERS.commandId]: context.newId('retried') };
      const first = await context.inventory.send('adjust', id, { delta: -3 }, { headers });
      expectItem(first, 'adjusted', 2);
      expectEqual(`${HEADERS.replayed} of the first reply`, first.header(HEADERS.replayed), undefined);
      const second = await context.inventory.send('adjust', id, { delta: -3 }, { headers });
      expectEqual('payload of the retry', expectReplayed(second), first.payload);
      expectEqual('event of the retry', second.event, first.event);
      await expectItemIs(context, id, 2, { quantity: 7 });
    },
  ),

  fact('a guarded retry is answered its success, not a conflict with itself', async (context) => {
    const id = await createItem(context, 10);
    const options = { expect: 1, headers: { [HEADERS.commandId]: context.newId('retried') } };
    const first = await context.inventory.send('update', id, { quantity: 4 }, options);
    expectItem(first, 'updated', 2);
    const second = await context.inventory.send('update', id, { quantity: 4 }, options);
    expectEqual('payload of the retry', expectReplayed(second), first.payload);
  }),

  fact('a late retry gets the first outcome though the entity has moved on', async (context) => {
    const id = context.newItem();
    const headers = { [HEADERS.commandId]: context.newId('retried') };
    const first = await context.inventory.send('create', id, { name: 'smoke', quantity: 1 }, { headers });
    expectItem(first, 'created', 1);
    for (const version of [1, 2, 3]) {
      expectItem(
        await context.inventory.send('adjust', id, { delta: 1 }, { expect: version }),
        'adjusted',
        version + 1,
      );
    }
    const second = await context.inventory.send('create', id, { name: 'smoke', quantity: 1 }, { headers });
    expectEqual('payload of the retry', expectReplayed(second), first.payload);
    await expectItemIs(context, id, 4, { quantity: 4 });
  }),

  fact('a retry emits no second event', async (context) => {
    const id = await createItem(context, 10);
    const headers = { [HEADERS.commandId]: context.newId('retried') };
    await context.inventory.send('adjust', id, { delta: 1 }, { headers });
    await context.inventory.send('adjust', id, { delta: 1 }, { headers });
    const later = await context.inventory.send('update', id, { quantity: 5 }, { expect: 2 });
    expectItem(later, 'updated', 3);
    // Events of one stream come in order, so whatever the retry emitted is here by now.
    await context.events.announced(later);
    const adjusted = context.events.seen(
      (event) => event.subject === 'evt.inventory.adjusted' && event.payload['entity_id'] === id,
    );
    expectEqual('events of the retried command', adjusted.length, 1);
  }),

  fact('one command id sent five times at once commits once', async (context) => {
    const id = await createItem(context, 10);
    const headers = { [HEADERS.commandId]: context.newId('retried') };
    const replies = await atOnce(5, async () => await context.inventory.send('adjust', id, { delta: 1 }, { headers }));
    const [first] = replies;
    for (const reply of replies) expectEqual('payload of a reply', reply.payload, first?.payload);
    expectEqual('replies not marked as replayed', replies.filter((reply) => !reply.replayed).length, 1);
    await expectItemIs(context, id, 2, { quantity: 11 });
  }),

  fact('the same command under another id is another command', async (context) => {
    const id = await createItem(context, 10);
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }), 'adjusted', 2);
    expectEqual(
      'quantity',
      expectItem(await context.inventory.send('adjust', id, { delta: 1 }), 'adjusted', 3).quantity,
      12,
    );
  }),

  fact(
    'a command id that was another command’s is rejected with invalid_command, and the first command stands',
    async (context) => {
      const id = await createItem(context, 10);
      const other = await createItem(context, 10, 'other');
      const headers = { [HEADERS.commandId]: context.newId('reused') };
      const first = await context.inventory.send('adjust', id, { delta: 1 }, { headers });
      expectItem(first, 'adjusted', 2);
      expectRejected(await context.inventory.send('adjust', id, { delta: 2 }, { headers }), 'invalid_command');
      expectRejected(await context.inventory.send('update', id, { quantity: 1 }, { headers }), 'invalid_command');
      expectRejected(await context.inventory.send('adjust', other, { delta: 1 }, { headers }), 'invalid_command');
      const again = await context.inventory.send('adjust', id, { delta: 1 }, { headers });
      expectEqual('payload of the retry', expectReplayed(again), first.payload);
      await expectItemIs(context, id, 2, { quantity: 11 });
      await expectItemIs(context, other, 1, { quantity: 10 });
    },
  ),

  fact('a missing command id is minted and returned, and a retry may use it', async (context) => {
    const id = await createItem(context, 10);
    const first = await context.inventory.send('adjust', id, { delta: 1 }, { anonymous: true });
    expectItem(first, 'adjusted', 2);
    const minted = expectPresent(`${HEADERS.commandId} of the reply`, first.header(HEADERS.commandId));
    expectThat('the minted command id', minted.length > 0, 'some text', minted);
    const event = await context.events.announced(first);
    expectEqual(`${HEADERS.commandId} of the event`, event.header(HEADERS.commandId), minted);
    const retry = { headers: { [HEADERS.commandId]: minted } };
    expectEqual(
      'payload of the retry',
      expectReplayed(await context.inventory.send('adjust', id, { delta: 1 }, retry)),
      first.payload,
    );
  }),

  fact('a retried lock acquire gets its own grant again, not a refresh', async (context) => {
    const resource = context.newResource();
    const headers = { [HEADERS.commandId]: context.newId('retried') };
    const data = { owner_id: 'ann', ttl_ms: 30_000 };
    const first = await context.lock.send('acquire', resource, data, { headers });
    expectLock(first, 'acquired');
    const second = await context.lock.send('acquire', resource, data, { headers });
    expectEqual('payload of the retry', expectReplayed(second), first.payload);
  }),
];
