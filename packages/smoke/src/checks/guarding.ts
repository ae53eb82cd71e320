/** A command may name the lease under which it is sent; an entity that has seen a newer one refuses it. */
import type { CommandLease } from '../agent-client.ts';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { expectItem, expectLock, expectRejected, expectReplayed } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { acquireLock, createItem, expectItemIs } from './steps.ts';

export const guardingChecks = [
  fact('a command under a lease that a newer one has overtaken is rejected with stale_token', async (context) => {
    const id = await createItem(context);
    const [first, second] = await twoLeases(context);
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }, { lease: second }), 'adjusted', 2);
    const reply = await context.inventory.send('adjust', id, { delta: 5 }, { lease: first });
    expectRejected(reply, 'stale_token');
    await context.events.announced(reply);
    // Whoever has lost the lease is told so, and not to read and try again.
    const outdated = await context.inventory.send('adjust', id, { delta: 5 }, { lease: first, expect: 1 });
    expectRejected(outdated, 'stale_token');
    await expectItemIs(context, id, 2, { quantity: 11 });
  }),

  fact('until a newer lease has been used, and for a retry, the older one lets commands through', async (context) => {
    const id = await createItem(context);
    const [first, second] = await twoLeases(context);
    const headers = { 'Mesh-Command-Id': context.newId('retried') };
    const adjust = { lease: first, headers };
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }, adjust), 'adjusted', 2);
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }, { lease: second }), 'adjusted', 3);
    const retried = expectReplayed(await context.inventory.send('adjust', id, { delta: 1 }, adjust));
    expectEqual('entity_version of the first outcome', retried.entity_version, 2);
    await expectItemIs(context, id, 3, { quantity: 12 });
  }),

  fact('an entity remembers tokens of each resource by itself, also over its deletion', async (context) => {
    const id = await createItem(context);
    const [first, second] = await twoLeases(context);
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }, { lease: second }), 'adjusted', 2);
    const other = { resource: context.newId('other-lock'), fencing_token: 1 };
    expectItem(await context.inventory.send('adjust', id, { delta: 1 }, { lease: other }), 'adjusted', 3);
    await context.inventory.send('delete', id);
    const data = { name: 'smoke', quantity: 1 };
    expectRejected(await context.inventory.send('create', id, data, { lease: first }), 'stale_token');
    expectItem(await context.inventory.send('create', id, data, { lease: second }), 'created', 5);
  }),

  fact('a lease that names no resource or no token is rejected with invalid_command', async (context) => {
    const id = await createItem(context);
    const wrong = [{ resource: 'r' }, { resource: '', fencing_token: 1 }, { resource: 'r', fencing_token: 0 }];
    for (const lease of [...wrong, { resource: 'r', fencing_token: 1, owner_id: 'ann' }]) {
      const reply = await context.inventory.send('adjust', id, { delta: 1 }, { lease: lease as CommandLease });
      expectRejected(reply, 'invalid_command');
    }
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),
];

/** Of the same lock: what the first holder names, and what the second one does. */
async function twoLeases(context: CheckContext): Promise<[CommandLease, CommandLease]> {
  const resource = context.newResource();
  const first = await acquireLock(context, resource, 'ann');
  expectLock(await context.lock.send('release', resource, { owner_id: 'ann' }), 'released');
  const second = await acquireLock(context, resource, 'bob');
  return [
    { resource, fencing_token: first.state.fencing_token },
    { resource, fencing_token: second.state.fencing_token },
  ];
}
