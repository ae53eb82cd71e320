/** Bad input gets an answer that says what was wrong, changes nothing, and kills nothing. */
import { HEADERS } from '@meshforge/protocol';
import type { Payload } from '@nats-io/nats-core';
import type { CheckContext } from '../check-context.ts';
import { fact, type Check } from '../check.ts';
import { expectItem, expectRejected } from '../expect-outcome.ts';
import { expectEqual, expectThat, show } from '../expect.ts';
import { createItem, expectItemIs } from './steps.ts';

export const badInputChecks = [
  fact('agent_version is rejected with an error that names expected_version', async (context) => {
    const id = await createItem(context);
    const body = { entity_id: id, agent_version: 1, data: { delta: 1 } };
    const reply = await context.inventory.sendBody('adjust', JSON.stringify(body));
    const rejection = expectRejected(reply, 'invalid_command');
    expectThat(
      'what the rejection says',
      show(rejection).includes('expected_version'),
      'expected_version named',
      rejection,
    );
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),

  fact('the typo expectedVersion is rejected and switches no guard off', async (context) => {
    const id = await createItem(context);
    const body = { entity_id: id, expectedVersion: 1, data: { delta: 1 } };
    const reply = await context.inventory.sendBody('adjust', JSON.stringify(body));
    const rejection = expectRejected(reply, 'invalid_command');
    expectThat('what the rejection says', show(rejection).includes('expectedVersion'), 'the typo named', rejection);
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),

  fact('a rejection names where the message is wrong, and is announced on evt.inventory.rejected', async (context) => {
    const id = await createItem(context);
    const reply = await context.inventory.send('adjust', id, { delta: 'many' });
    const rejection = expectRejected(reply, 'invalid_command');
    expectEqual('entity_id of the rejection', rejection.entity_id, id);
    expectEqual('action of the rejection', rejection.action, 'adjust');
    expectEqual(
      'paths of the issues',
      rejection.issues?.map((issue) => issue.path),
      ['data.delta'],
    );
    expectEqual('subject of the event', (await context.events.announced(reply)).subject, 'evt.inventory.rejected');
  }),

  fact('an unknown action is rejected with unknown_action', async (context) => {
    const reply = await context.inventory.send('explode', context.newItem());
    expectEqual('action of the rejection', expectRejected(reply, 'unknown_action').action, 'explode');
    expectEqual('the event in the reply', reply.event, 'evt.inventory.rejected');
  }),

  invalid('a body that is not JSON', () => '{"entity_id": '),
  invalid('an empty body', () => ''),
  invalid('a JSON array', () => '[1, 2, 3]'),
  invalid('a body that is not UTF-8', () => new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])),
  invalid('a command without entity_id', () => '{"data": {"delta": 1}}'),
  invalid('an empty entity_id', () => '{"entity_id": "", "data": {"delta": 1}}'),
  invalid('an entity_id of 257 characters', (id) => command({ entity_id: id.padEnd(257, 'x') })),
  invalid('a negative expected_version', (id) => command({ entity_id: id, expected_version: -1 })),
  invalid('an expected_version that is text', (id) => command({ entity_id: id, expected_version: '1' })),
  invalid('an expected_version that is null', (id) => command({ entity_id: id, expected_version: null })),
  invalid('data that is not an object', (id) => command({ entity_id: id, data: [1] })),
  invalid('an unknown key in data', (id) => command({ entity_id: id, data: { delta: 1, by: 'me' } })),
  invalid('an adjust by zero', (id) => command({ entity_id: id, data: { delta: 0 } })),

  fact('a command id of 129 characters is rejected: cut short it could stand for another', async (context) => {
    const id = await createItem(context);
    const headers = { [HEADERS.commandId]: context.newId('long').padEnd(129, 'x') };
    expectRejected(await context.inventory.send('adjust', id, { delta: 1 }, { headers }), 'invalid_command');
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),

  fact('an entity that does not exist is rejected with not_found, whatever is asked of it', async (context) => {
    const id = context.newItem();
    const order = { order_id: 'order-1' };
    const asked: [string, object][] = [
      ['update', { quantity: 1 }],
      ['adjust', { delta: 1 }],
      ['reserve', { ...order, quantity: 1 }],
      ['release', order],
      ['fulfil', order],
      ['delete', {}],
    ];
    for (const [action, data] of asked) expectRejected(await context.inventory.send(action, id, data), 'not_found');
  }),

  fact('creating what exists is rejected with already_exists', async (context) => {
    const id = await createItem(context);
    expectRejected(await context.inventory.send('create', id, { name: 'another' }), 'already_exists');
    await expectItemIs(context, id, 1, { name: 'smoke' });
  }),
];

/** Tried as an adjust of a live item, which goes on working. */
function invalid(what: string, bodyFor: (id: string) => Payload): Check {
  return fact(`${what} is rejected with invalid_command`, async (context: CheckContext) => {
    const id = await createItem(context);
    expectRejected(await context.inventory.sendBody('adjust', bodyFor(id)), 'invalid_command');
    const next = await context.inventory.send('adjust', id, { delta: 1 }, { expect: 1 });
    expectEqual('quantity', expectItem(next, 'adjusted', 2).quantity, 11);
  });
}

function command(body: object): string {
  return JSON.stringify({ data: { delta: 1 }, ...body });
}
