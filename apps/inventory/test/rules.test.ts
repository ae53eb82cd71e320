// Hunts: a rule that lets stock go below zero or below what is promised, that forgets a reservation or pays one out
// twice, and a refusal that names another reason than the wire promises.
import type { InventoryState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import { describe, test } from 'vitest';
import { inventory } from '../src/index.ts';
import { untyped } from './support/untyped.ts';

/** As the wire's schema has it. */
const MAX_QUANTITY = 1_000_000_000_000;

function item(quantity: number, reservations: Record<string, number> = {}): InventoryState {
  const reserved = Object.values(reservations).reduce((sum, one) => sum + one, 0);
  return { name: 'bolt', quantity, reserved, reservations };
}

const given = (state: InventoryState, version?: number) => scenario(inventory).given(state, version);

describe('create', () => {
  test('makes an item with the quantity that is on hand', () => {
    scenario(inventory)
      .when('create', { name: 'bolt', quantity: 5 })
      .thenCommits({ event: 'created', version: 1, state: item(5) });
  });

  test('makes an empty item when no quantity is given', () => {
    scenario(inventory)
      .when('create', { name: 'bolt' })
      .thenCommits({ event: 'created', state: item(0) });
  });

  test('is refused for an item that exists', () => {
    given(item(5)).when('create', { name: 'nut' }).thenRefuses('already_exists');
  });

  test('I3: conflicts where version 0 is expected and an item exists', () => {
    given(item(5), 4).when('create', { name: 'nut' }, { expectedVersion: 0 }).thenConflicts(4);
  });

  test('I1: brings a deleted item back under the next version, empty of its past', () => {
    given(item(5), 3)
      .when('delete', {})
      .thenCommits({ event: 'deleted', version: 4, state: null })
      .when('create', { name: 'nut' }, { expectedVersion: 0 })
      .thenCommits({ event: 'created', version: 5, state: { ...item(0), name: 'nut' } });
  });

  test.each<[string, object]>([
    ['no name', {}],
    ['an empty name', { name: '' }],
    ['a name of 257 characters', { name: 'x'.repeat(257) }],
    ['a negative quantity', { name: 'bolt', quantity: -1 }],
    ['half a piece', { name: 'bolt', quantity: 0.5 }],
    ['more than anybody stocks', { name: 'bolt', quantity: MAX_QUANTITY + 1 }],
    ['a reserved part', { name: 'bolt', reserved: 1 }],
  ])('I8: is malformed with %s', (_, data) => {
    scenario(inventory).when('create', untyped(data)).thenIsMalformed();
  });
});

describe('update', () => {
  test('renames an item and leaves its stock alone', () => {
    given(item(5, { o1: 2 }))
      .when('update', { name: 'nut' })
      .thenCommits({ event: 'updated', state: { ...item(5, { o1: 2 }), name: 'nut' } });
  });

  test('sets the quantity on hand and leaves the reservations alone', () => {
    given(item(5, { o1: 2 }))
      .when('update', { quantity: 9 })
      .thenCommits({ event: 'updated', state: item(9, { o1: 2 }) });
  });

  test('sets the quantity to exactly what is reserved', () => {
    given(item(5, { o1: 2 }))
      .when('update', { quantity: 2 })
      .thenCommits({ event: 'updated', state: item(2, { o1: 2 }) });
  });

  test('is refused for a quantity below what is reserved, also when it renames as well', () => {
    given(item(5, { o1: 2 }))
      .when('update', { quantity: 1 })
      .thenRefuses('insufficient_stock')
      .when('update', { quantity: 0, name: 'nut' })
      .thenRefuses('insufficient_stock');
  });

  test('is refused where there is no item', () => {
    scenario(inventory).when('update', { name: 'nut' }).thenRefuses('not_found');
  });

  test.each<[string, object]>([
    ['nothing to change', {}],
    ['a negative quantity', { quantity: -1 }],
    ['a null name', { name: null }],
    ['an unknown key', { title: 'nut' }],
  ])('I8: is malformed with %s', (_, data) => {
    given(item(5)).when('update', untyped(data)).thenIsMalformed();
  });
});

describe('adjust', () => {
  test('adds to the quantity on hand', () => {
    given(item(5))
      .when('adjust', { delta: 3 })
      .thenCommits({ event: 'adjusted', state: item(8), data: { delta: 3 } });
  });

  test('takes all that is not reserved', () => {
    given(item(5, { o1: 2 }))
      .when('adjust', { delta: -3 })
      .thenCommits({ event: 'adjusted', state: item(2, { o1: 2 }), data: { delta: -3 } });
  });

  test('is refused when it would take a reserved piece', () => {
    given(item(5, { o1: 2 }))
      .when('adjust', { delta: -4 })
      .thenRefuses('insufficient_stock');
  });

  test('is refused when the quantity would exceed the limit of the wire', () => {
    given(item(MAX_QUANTITY)).when('adjust', { delta: 1 }).thenRefuses('quantity_too_large');
  });

  test('is refused where there is no item', () => {
    scenario(inventory).when('adjust', { delta: 1 }).thenRefuses('not_found');
  });

  test.each<[string, object]>([
    ['a delta of 0', { delta: 0 }],
    ['no delta', {}],
    ['half a piece', { delta: 1.5 }],
    ['a delta in words', { delta: '1' }],
  ])('I8: is malformed with %s', (_, data) => {
    given(item(5)).when('adjust', untyped(data)).thenIsMalformed();
  });
});

describe('reserve', () => {
  test('sets stock aside for an order; the quantity on hand stays', () => {
    given(item(5, { o1: 2 }))
      .when('reserve', { order_id: 'o2', quantity: 3 })
      .thenCommits({
        event: 'reserved',
        state: item(5, { o1: 2, o2: 3 }),
        data: { order_id: 'o2', quantity: 3 },
      });
  });

  test('is refused for more than is available', () => {
    given(item(5, { o1: 2 }))
      .when('reserve', { order_id: 'o2', quantity: 4 })
      .thenRefuses('insufficient_stock');
  });

  test('is refused for an order that holds a reservation, whatever the quantity', () => {
    given(item(5, { o1: 2 }))
      .when('reserve', { order_id: 'o1', quantity: 1 })
      .thenRefuses('already_reserved')
      .when('reserve', { order_id: 'o1', quantity: 100 })
      .thenRefuses('already_reserved');
  });

  test('is refused where there is no item', () => {
    scenario(inventory).when('reserve', { order_id: 'o1', quantity: 1 }).thenRefuses('not_found');
  });

  test.each<[string, object]>([
    ['nothing to reserve', { order_id: 'o1', quantity: 0 }],
    ['less than nothing', { order_id: 'o1', quantity: -1 }],
    ['no order', { quantity: 1 }],
    ['an empty order id', { order_id: '', quantity: 1 }],
    ['an order that would be lost as a key', { order_id: '__proto__', quantity: 1 }],
  ])('I8: is malformed with %s', (_, data) => {
    given(item(5)).when('reserve', untyped(data)).thenIsMalformed();
  });
});

describe('release', () => {
  test('gives the reserved stock back', () => {
    given(item(5, { o1: 2, o2: 1 }))
      .when('release', { order_id: 'o1' })
      .thenCommits({ event: 'released', state: item(5, { o2: 1 }), data: { order_id: 'o1', quantity: 2 } });
  });

  test('is refused for an order that holds nothing, and for one that was released before', () => {
    given(item(5, { o1: 2 }))
      .when('release', { order_id: 'o2' })
      .thenRefuses('unknown_reservation')
      .when('release', { order_id: 'o1' })
      .when('release', { order_id: 'o1' })
      .thenRefuses('unknown_reservation');
  });

  test('is refused where there is no item', () => {
    scenario(inventory).when('release', { order_id: 'o1' }).thenRefuses('not_found');
  });
});

describe('a reservation with a time to live', () => {
  const noon = Date.parse('2026-01-31T12:00:00.000Z');
  const until = '2026-01-31T12:00:01.000Z';

  test('says when it ends, beside those that do not', () => {
    given(item(5, { o1: 2 }))
      .at(noon)
      .when('reserve', { order_id: 'o2', quantity: 1, ttl_ms: 1_000 })
      .thenCommits({
        event: 'reserved',
        state: { ...item(5, { o1: 2, o2: 1 }), until: { o2: until } },
        data: { order_id: 'o2', quantity: 1, until },
      });
  });

  test('is released by who names its end, and nothing else is', () => {
    given({ ...item(5, { o1: 2, o2: 1 }), until: { o2: until } })
      .when('release', { order_id: 'o2', until: '2026-01-31T12:00:02.000Z' })
      .thenRefuses('unknown_reservation')
      .when('release', { order_id: 'o1', until })
      .thenRefuses('unknown_reservation')
      .when('release', { order_id: 'o2', until })
      .thenCommits({ event: 'released', state: item(5, { o1: 2 }), data: { order_id: 'o2', quantity: 1, until } })
      .when('release', { order_id: 'o2', until })
      .thenRefuses('unknown_reservation');
  });

  test('can be released and fulfilled before, as any other', () => {
    const both = { ...item(5, { o1: 2, o2: 1 }), until: { o1: until, o2: until } };
    given(both)
      .when('release', { order_id: 'o1' })
      .thenCommits({
        event: 'released',
        state: { ...item(5, { o2: 1 }), until: { o2: until } },
        data: { order_id: 'o1', quantity: 2, until },
      })
      .when('fulfil', { order_id: 'o2' })
      .thenCommits({ event: 'fulfilled', state: item(4), data: { order_id: 'o2', quantity: 1, until } });
  });

  test.each([499, 0, -1, 1.5, 31_622_400_001])('I8: is malformed with ttl_ms %d', (ttl) => {
    given(item(5)).when('reserve', { order_id: 'o1', quantity: 1, ttl_ms: ttl }).thenIsMalformed();
  });
});

describe('fulfil', () => {
  test('takes the reserved stock out', () => {
    given(item(5, { o1: 2, o2: 1 }))
      .when('fulfil', { order_id: 'o1' })
      .thenCommits({ event: 'fulfilled', state: item(3, { o2: 1 }), data: { order_id: 'o1', quantity: 2 } });
  });

  test('is refused for an order that holds nothing, and for one that was fulfilled before', () => {
    given(item(5, { o1: 2 }))
      .when('fulfil', { order_id: 'o2' })
      .thenRefuses('unknown_reservation')
      .when('fulfil', { order_id: 'o1' })
      .when('fulfil', { order_id: 'o1' })
      .thenRefuses('unknown_reservation');
  });

  test('is refused where there is no item', () => {
    scenario(inventory).when('fulfil', { order_id: 'o1' }).thenRefuses('not_found');
  });
});

describe('delete', () => {
  test('removes an item, whatever is on hand', () => {
    given(item(5), 7).when('delete', {}).thenCommits({ event: 'deleted', version: 8, state: null });
  });

  test('is refused while a reservation is open', () => {
    given(item(5, { o1: 2 }))
      .when('delete', {})
      .thenRefuses('open_reservations')
      .when('fulfil', { order_id: 'o1' })
      .when('delete', {})
      .thenCommits({ event: 'deleted', state: null });
  });

  test('is refused where there is no item, and where it was deleted before', () => {
    scenario(inventory).when('delete', {}).thenRefuses('not_found');
    given(item(5)).when('delete', {}).when('delete', {}).thenRefuses('not_found');
  });

  test('I8: is malformed with data', () => {
    given(item(5))
      .when('delete', untyped({ force: true }))
      .thenIsMalformed();
  });
});

describe('every action on an item', () => {
  test('I3: conflicts with another version than the expected one before its rule is asked', () => {
    const stale = { expectedVersion: 2 };
    given(item(5, { o1: 2 }), 3)
      .when('update', { quantity: 0 }, stale)
      .thenConflicts(3)
      .when('adjust', { delta: -100 }, stale)
      .thenConflicts(3)
      .when('reserve', { order_id: 'o1', quantity: 100 }, stale)
      .thenConflicts(3)
      .when('release', { order_id: 'o9' }, stale)
      .thenConflicts(3)
      .when('fulfil', { order_id: 'o9' }, stale)
      .thenConflicts(3)
      .when('delete', {}, stale)
      .thenConflicts(3)
      .when('create', { name: 'nut' }, stale)
      .thenConflicts(3);
  });

  test('I3: conflicts with version 0 where there is no item but one is expected', () => {
    scenario(inventory).when('adjust', { delta: 1 }, { expectedVersion: 1 }).thenConflicts(0);
    given(item(5), 3).when('delete', {}).when('adjust', { delta: 1 }, { expectedVersion: 4 }).thenConflicts(0);
  });

  test('I5: answers a command that it has decided with the first outcome, also when its rule would refuse it now', () => {
    given(item(5), 3)
      .when('reserve', { order_id: 'o1', quantity: 5 }, { commandId: 'c1', expectedVersion: 3 })
      .when('reserve', { order_id: 'o1', quantity: 5 }, { commandId: 'c1', expectedVersion: 3 })
      .thenReplays(4)
      .when('fulfil', { order_id: 'o1' })
      .when('reserve', { order_id: 'o1', quantity: 5 }, { commandId: 'c1', expectedVersion: 3 })
      .thenReplays(4);
  });
});
