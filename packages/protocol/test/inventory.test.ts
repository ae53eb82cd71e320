/** Hunts for data that the inventory's rules could not count with, and for order ids that would vanish from its state. */
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { check, inventoryContract, InventoryState } from '../src/index.ts';

const MOST = 1_000_000_000_000;

describe('the data of', () => {
  const { create, update } = inventoryContract.actions;

  it.each([
    ['create', { name: 'Bolt' }, true],
    ['create', { name: 'Bolt', quantity: 0 }, true],
    ['create', { name: 'Bolt', quantity: MOST }, true],
    ['create', { name: 'Bolt', quantity: MOST + 1 }, false],
    ['create', { name: 'Bolt', quantity: -1 }, false],
    ['create', { name: 'Bolt', reserved: 1 }, false],
    ['create', { name: '' }, false],
    ['create', {}, false],
    ['update', { name: 'Nut' }, true],
    ['update', { quantity: 3 }, true],
    ['update', { name: 'Nut', quantity: 3 }, true],
    ['update', {}, false],
    ['update', { name: null }, false],
    ['update', { reserved: 1 }, false],
    ['adjust', { delta: 1 }, true],
    ['adjust', { delta: -MOST }, true],
    ['adjust', { delta: -MOST - 1 }, false],
    ['adjust', { delta: 0 }, false],
    ['adjust', { delta: -0 }, false],
    ['adjust', { delta: 0.5 }, false],
    ['adjust', { delta: '1' }, false],
    ['reserve', { order_id: 'o-1', quantity: 1 }, true],
    ['reserve', { order_id: 'constructor', quantity: 1 }, true],
    ['reserve', { order_id: '__proto__', quantity: 1 }, false],
    ['reserve', { order_id: 'o-1', quantity: 0 }, false],
    ['reserve', { order_id: 'o-1' }, false],
    ['release', { order_id: 'o-1' }, true],
    ['release', { order_id: 'o-1', quantity: 1 }, false],
    ['fulfil', { order_id: '😀'.repeat(256) }, true],
    ['fulfil', { order_id: '' }, false],
    ['delete', {}, true],
    ['delete', { force: true }, false],
  ] as const)('%s %o: accepted is %s', (action, data, accepted) => {
    const schema: z.ZodType = inventoryContract.actions[action].data;
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
