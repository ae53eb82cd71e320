/** Reading: one entity, its past, and many entities. */
import { GetResult, HistoryResult, ListResult } from '@meshforge/protocol';
import { fact } from '../check.ts';
import { expectCommitted, expectItem, expectRejected } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { together } from '../together.ts';
import { createItem, createUpdatedItem } from './steps.ts';

export const queryChecks = [
  fact('get answers the entity and its version', async (context) => {
    const id = await createUpdatedItem(context);
    const found = await context.inventory.query('get', { entity_id: id }, GetResult);
    expectEqual('get', found, {
      entity_id: id,
      entity_version: 2,
      state: { name: 'smoke', quantity: 20, reserved: 0, reservations: {} },
    });
  }),

  fact('get of an entity that does not exist is refused with not_found', async (context) => {
    expectRejected(await context.inventory.queryRefused('get', { entity_id: context.newItem() }), 'not_found');
  }),

  fact('get with min_version is never older than what was just written', async (context) => {
    const id = await createItem(context);
    for (let version = 2; version <= 11; version++) {
      expectItem(
        await context.inventory.send('adjust', id, { delta: 1 }, { expect: version - 1 }),
        'adjusted',
        version,
      );
      const found = await context.inventory.query('get', { entity_id: id, min_version: version }, GetResult);
      expectEqual('version of the answer', found.entity_version, version);
    }
  }),

  fact('get refuses a query with an unknown key', async (context) => {
    const query = { entity_id: await createItem(context), minVersion: 1 };
    expectRejected(await context.inventory.queryRefused('get', query), 'invalid_command');
  }),

  fact('history answers every version of an entity, newest first', async (context) => {
    const id = await createUpdatedItem(context);
    expectItem(await context.inventory.send('reserve', id, { order_id: 'order-1', quantity: 2 }), 'reserved', 3);
    expectItem(await context.inventory.send('release', id, { order_id: 'order-1' }), 'released', 4);
    expectCommitted(await context.inventory.send('delete', id), 'evt.inventory.deleted', 5);
    const { events } = await context.inventory.query('history', { entity_id: id }, HistoryResult);
    expectEqual(
      'events and versions',
      events.map((event) => `${event.event} ${event.entity_version}`),
      [
        'evt.inventory.deleted 5',
        'evt.inventory.released 4',
        'evt.inventory.reserved 3',
        'evt.inventory.updated 2',
        'evt.inventory.created 1',
      ],
    );
    expectEqual('state after the delete', events[0]?.state, null);
    expectEqual('data of the reservation', events[2]?.data, { order_id: 'order-1', quantity: 2 });
    expectEqual('quantity at version 2', events[3]?.state?.['quantity'], 20);
    const ids = new Set(events.map((event) => event.command_id));
    expectEqual('different command ids', ids.size, 5);
  }),

  fact('history pages with limit and before_version', async (context) => {
    const id = await createItem(context);
    for (const version of [1, 2, 3, 4]) await context.inventory.send('adjust', id, { delta: 1 }, { expect: version });
    const page = async (query: object): Promise<number[]> => {
      const { events } = await context.inventory.query('history', { entity_id: id, ...query }, HistoryResult);
      return events.map((event) => event.entity_version);
    };
    expectEqual('the first page', await page({ limit: 2 }), [5, 4]);
    expectEqual('the page before version 4', await page({ limit: 2, before_version: 4 }), [3, 2]);
    expectEqual('the page before version 2', await page({ limit: 2, before_version: 2 }), [1]);
  }),

  fact('list answers the live entities of a prefix in the order of their ids', async (context) => {
    const prefix = context.newId('list');
    const ids = ['c', 'a', 'b', 'gone'].map((label) => context.adoptItem(`${prefix}-${label}`));
    for (const id of ids) expectItem(await context.inventory.send('create', id, { name: id }), 'created', 1);
    expectCommitted(await context.inventory.send('delete', `${prefix}-gone`), 'evt.inventory.deleted', 2);
    const { entities, next } = await context.inventory.query('list', { prefix }, ListResult);
    expectEqual(
      'ids',
      entities.map((entity) => entity.entity_id),
      ['a', 'b', 'c'].map((label) => `${prefix}-${label}`),
    );
    expectEqual('next', next, undefined);
    for (const { entity_id: id, entity_version: version, state } of entities) {
      expectEqual(`version and name of ${id}`, [version, state['name']], [1, id]);
    }
  }),

  fact('list pages with limit and after, each entity once', async (context) => {
    const prefix = context.newId('pages');
    const ids = Array.from({ length: 5 }, (_, index) => context.adoptItem(`${prefix}-${index}`));
    await together(ids.map(async (id) => await context.inventory.send('create', id, { name: id })));
    const found: string[] = [];
    let after: string | undefined;
    let pages = 0;
    do {
      const query = { prefix, limit: 2, ...(after === undefined ? {} : { after }) };
      const { entities, next } = await context.inventory.query('list', query, ListResult);
      expectThat('entities on a page of at most 2', entities.length <= 2, 'at most 2', entities.length);
      found.push(...entities.map((entity) => entity.entity_id));
      after = next;
    } while (after !== undefined && ++pages < 5);
    expectEqual('ids of all pages', found, ids);
  }),
];
