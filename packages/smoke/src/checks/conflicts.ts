/** A command that expects another version than the entity has changes nothing, and everybody can see so. */
import { fact } from '../check.ts';
import { expectConflict, expectItem, expectLock } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { acquireLock, createItem, createUpdatedItem, expectItemIs } from './steps.ts';

export const conflictChecks = [
  fact('a stale expected_version is answered conflict with the true current version', async (context) => {
    const id = await createUpdatedItem(context);
    const reply = await context.inventory.send('update', id, { quantity: 99 }, { expect: 1 });
    const conflict = expectConflict(reply, 1, 2);
    expectEqual('the event in the reply', reply.event, 'evt.inventory.conflict');
    expectEqual('entity_id of the conflict', conflict.entity_id, id);
    expectEqual('action of the conflict', conflict.action, 'update');
  }),

  fact('a conflict is announced on evt.inventory.conflict with expected, current and reason', async (context) => {
    const id = await createUpdatedItem(context);
    const reply = await context.inventory.send('update', id, { quantity: 99 }, { expect: 1 });
    expectConflict(reply, 1, 2);
    const { payload, subject } = await context.events.announced(reply);
    expectEqual('subject of the event', subject, 'evt.inventory.conflict');
    expectEqual('expected_version of the event', payload['expected_version'], 1);
    expectEqual('current_version of the event', payload['current_version'], 2);
    expectThat('reason of the event', Boolean(payload['reason']), 'some text', payload['reason']);
  }),

  fact('a conflict changes nothing: the next commit takes the next version', async (context) => {
    const id = await createUpdatedItem(context);
    expectConflict(await context.inventory.send('update', id, { quantity: 99 }, { expect: 1 }), 1, 2);
    await expectItemIs(context, id, 2, { quantity: 20 });
    const next = await context.inventory.send('update', id, { quantity: 21 }, { expect: 2 });
    expectItem(next, 'updated', 3);
    await context.events.announced(next);
    const committed = context.events
      .seen((event) => event.payload['entity_id'] === id && event.header('Nats-Sequence') !== undefined)
      .map((event) => `${event.subject} ${String(event.payload['entity_version'])}`);
    expectEqual('all commits of the entity on the wire', committed, [
      'evt.inventory.created 1',
      'evt.inventory.updated 2',
      'evt.inventory.updated 3',
    ]);
  }),

  fact('an expected_version that does not exist yet is a conflict too', async (context) => {
    const id = await createItem(context);
    expectConflict(await context.inventory.send('update', id, { quantity: 1 }, { expect: 7 }), 7, 1);
  }),

  fact('the current version in a conflict is never older than the last acknowledged one', async (context) => {
    // Replicas take turns, and each may remember the entity as it was when it saw it last.
    const id = await createUpdatedItem(context);
    for (let version = 3; version <= 22; version++) {
      const next = await context.inventory.send('adjust', id, { delta: 1 }, { expect: version - 1 });
      expectItem(next, 'adjusted', version);
      expectConflict(await context.inventory.send('adjust', id, { delta: 1 }, { expect: 1 }), 1, version);
    }
  }),

  fact('expected_version 0 on a live entity is a conflict', async (context) => {
    const id = await createItem(context);
    expectConflict(await context.inventory.send('create', id, { name: 'smoke' }, { expect: 0 }), 0, 1);
  }),

  fact('an expected_version on an entity that does not exist is a conflict with current version 0', async (context) => {
    expectConflict(await context.inventory.send('update', context.newItem(), { quantity: 1 }, { expect: 3 }), 3, 0);
  }),

  fact('a conflict is found before any rule of the action', async (context) => {
    const id = await createUpdatedItem(context);
    expectConflict(await context.inventory.send('adjust', id, { delta: -1000 }, { expect: 1 }), 1, 2);
  }),

  fact('a lock command that expects another version is a conflict on evt.lock.conflict', async (context) => {
    const resource = context.newResource();
    const { version } = await acquireLock(context, resource, 'ann');
    const reply = await context.lock.send('release', resource, { owner_id: 'ann' }, { expect: version + 1 });
    expectConflict(reply, version + 1, version);
    expectEqual('subject of the event', (await context.events.announced(reply)).subject, 'evt.lock.conflict');
    expectLock(await context.lock.send('release', resource, { owner_id: 'ann' }, { expect: version }), 'released');
  }),
];
