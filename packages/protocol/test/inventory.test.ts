/** Hunts for data that the inventory's rules could not count with, and for order ids that would vanish from its state. */
import { describe, expect, it } from 'vitest';
import { check, inventoryContract, InventoryState } from '../src/index.ts';

const MOST = 1_000_000_000_000;

describe('the data of', () => {
  const { create, update, adjust, reserve, release, fulfil, delete: remove } = inventoryContract.actions;

  it.each([
    ['create', create.data, { name: 'Bolt' }, true],
    ['create', create.data, { name: 'Bolt', quantity: 0 }, true],
    ['create', create.data, { name: 'Bolt', quantity: MOST }, true],
    ['create', create.data, { name: 'Bolt', quantity: MOST + 1 }, false],
    ['create', create.data, { name: 'Bolt', quantity: -1 }, false],
    ['create', create.data, { name: 'Bolt', reserved: 1 }, false],
    ['create', create.data, { name: '' }, false],
    ['create', create.data, {}, false],
    ['update', update.data, { name: 'Nut' }, true],
    ['update', update.data, { quantity: 3 }, true],
    ['update', update.data, { name: 'Nut', quantity: 3 }, true],
    ['update', update.data, {}, false],
    ['update', update.data, { name: null }, false],
    ['update', update.data, { reserved: 1 }, false],
    ['adjust', adjust.data, { delta: 1 }, true],
    ['adjust', adjust.data, { delta: -MOST }, true],
    ['adjust', adjust.data, { delta: -MOST - 1 }, false],
    ['adjust', adjust.data, { delta: 0 }, false],
    ['adjust', adjust.data, { delta: -0 }, false],
    ['adjust', adjust.data, { delta: 0.5 }, false],
    ['adjust', adjust.data, { delta: '1' }, false],
    ['reserve', reserve.data, { order_id: 'o-1', quantity: 1 }, true],
    ['reserve', reserve.data, { order_id: 'constructor', quantity: 1 }, true],
    ['reserve', reserve.data, { order_id: '__proto__', quantity: 1 }, false],
    ['reserve', reserve.data, { order_id: 'o-1', quantity: 0 }, false],
    ['reserve', reserve.data, { order_id: 'o-1' }, false],
    ['release', release.data, { order_id: 'o-1' }, true],
    ['release', release.data, { order_id: 'o-1', quantity: 1 }, false],
    ['fulfil', fulfil.data, { order_id: '😀'.repeat(256) }, true],
    ['fulfil', fulfil.data, { order_id: '' }, false],
    ['delete', remove.data, {}, true],
    ['delete', remove.data, { force: true }, false],
  ])('%s %#: %o is accepted: %s', (_action, schema, data, accepted) => {
    expect(check(schema, data).ok).toBe(accepted);
  });

  it('create fills in the quantity', () => {
    expect(check(create.data, { name: 'Bolt' })).toEqual({ ok: true, value: { name: 'Bolt', quantity: 0 } });
  });

  it('update says what it misses', () => {
    expect(check(update.data, {}, 'data')).toMatchObject({ reason: 'data: expected name, quantity or both' });
  });
});

describe('the state of an item', () => {
  const item = { name: 'Bolt', quantity: 5, reserved: 5, reservations: { 'o-1': 5 } };

  it('never promises more than there is', () => {
    expect(check(InventoryState, item).ok).toBe(true);
    expect(check(InventoryState, { ...item, reserved: 6 })).toMatchObject({
      reason: 'reserved must not exceed quantity',
    });
  });

  it('keeps the reservation of every order id that it takes', () => {
    const reservations = { constructor: 1, hasOwnProperty: 2, toString: 1, '1': 1 };
    expect(check(InventoryState, { ...item, reservations })).toEqual({ ok: true, value: { ...item, reservations } });
  });

  it('has no empty reservation', () => {
    expect(check(InventoryState, { ...item, reservations: { 'o-1': 0 } }).ok).toBe(false);
  });
});
