// Hunts: a sequence of commands after which the books do not balance, and order ids that mean something to JavaScript
// objects. The model keeps orders in a Map, where every id is just a text.
import type { InventoryState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inventory } from '../src/index.ts';
import { untyped } from './support/untyped.ts';

interface Model {
  /** Undefined while there is no item. */
  item: { name: string; quantity: number; orders: Map<string, number> } | undefined;
  version: number;
}

type Step =
  | { action: 'create'; data: { name: string; quantity?: number } }
  | { action: 'update'; data: { name?: string; quantity?: number } }
  | { action: 'adjust'; data: { delta: number } }
  | { action: 'reserve'; data: { order_id: string; quantity: number } }
  | { action: 'release' | 'fulfil'; data: { order_id: string } }
  | { action: 'delete'; data: Record<string, never> };

/** What the model says of a step: the event and what it adds, or the code of the refusal. */
type Verdict = { event: string; data?: Record<string, unknown> } | { code: string };

const reserved = ({ orders }: { orders: Map<string, number> }): number =>
  [...orders.values()].reduce((sum, quantity) => sum + quantity, 0);

/** The table of the wire, written a second time and with other means; changes the model when the step commits. */
function decideByModel(model: Model, step: Step): Verdict {
  const { item } = model;
  if (step.action === 'create') {
    if (item !== undefined) return { code: 'already_exists' };
    model.item = { name: step.data.name, quantity: step.data.quantity ?? 0, orders: new Map() };
    return { event: 'created' };
  }
  if (item === undefined) return { code: 'not_found' };
  const available = item.quantity - reserved(item);
  switch (step.action) {
    case 'update': {
      const { name, quantity } = step.data;
      if (quantity !== undefined && quantity < reserved(item)) return { code: 'insufficient_stock' };
      model.item = { ...item, name: name ?? item.name, quantity: quantity ?? item.quantity };
      return { event: 'updated' };
    }
    case 'adjust': {
      if (-step.data.delta > available) return { code: 'insufficient_stock' };
      item.quantity += step.data.delta;
      return { event: 'adjusted', data: { ...step.data } };
    }
    case 'reserve': {
      const { order_id: order, quantity } = step.data;
      if (item.orders.has(order)) return { code: 'already_reserved' };
      if (quantity > available) return { code: 'insufficient_stock' };
      item.orders.set(order, quantity);
      return { event: 'reserved', data: { ...step.data } };
    }
    case 'release':
    case 'fulfil': {
      const { order_id: order } = step.data;
      const quantity = item.orders.get(order);
      if (quantity === undefined) return { code: 'unknown_reservation' };
      item.orders.delete(order);
      if (step.action === 'fulfil') item.quantity -= quantity;
      return { event: step.action === 'fulfil' ? 'fulfilled' : 'released', data: { order_id: order, quantity } };
    }
    case 'delete': {
      if (item.orders.size > 0) return { code: 'open_reservations' };
      model.item = undefined;
      return { event: 'deleted' };
    }
  }
}

const stateOf = ({ item }: Model): InventoryState | null =>
  item === undefined
    ? null
    : {
        name: item.name,
        quantity: item.quantity,
        reserved: reserved(item),
        reservations: Object.fromEntries(item.orders),
      };

/** Few ids, so that orders meet again; most of them mean something to an object, and some sort as numbers. */
const orderId = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('constructor', 'toString', 'hasOwnProperty', 'valueOf', '7', '0', 'o.*>', ' '),
  },
  {
    weight: 1,
    arbitrary: fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }).filter((id) => id !== '__proto__'),
  },
);
const quantity = fc.integer({ min: 0, max: 12 });
const name = fc.constantFrom('bolt', 'nut');

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ action: fc.constant('create' as const), data: fc.record({ name, quantity }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      action: fc.constant('update' as const),
      data: fc.oneof(fc.record({ name }), fc.record({ quantity }), fc.record({ name, quantity })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      action: fc.constant('adjust' as const),
      data: fc.record({ delta: fc.integer({ min: -6, max: 9 }).filter((delta) => delta !== 0) }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      action: fc.constant('reserve' as const),
      data: fc.record({ order_id: orderId, quantity: fc.integer({ min: 1, max: 5 }) }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      action: fc.constantFrom('release' as const, 'fulfil' as const),
      data: fc.record({ order_id: orderId }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ action: fc.constant('delete' as const), data: fc.constant({}) }) },
);

function expectBalanced(state: InventoryState): void {
  const promised = Object.values(state.reservations).reduce((sum, one) => sum + one, 0);
  expect(state.reserved).toBe(promised);
  expect(state.reserved).toBeLessThanOrEqual(state.quantity);
  expect(state.quantity).toBeGreaterThanOrEqual(0);
}

test('any sequence of commands keeps the books balanced and does what a plain model does', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const model: Model = { item: undefined, version: 0 };
      const rules = scenario(inventory);
      for (const { action, data } of steps) {
        const verdict = decideByModel(model, { action, data } as Step);
        seen.add(`${action}: ${'code' in verdict ? verdict.code : 'committed'}`);
        rules.when(action, untyped(data));
        if ('code' in verdict) rules.thenRefuses(verdict.code);
        else rules.thenCommits({ ...verdict, version: ++model.version, state: stateOf(model) });
        expect(rules.version).toBe(model.version);
        expect(rules.state).toEqual(stateOf(model));
        if (rules.state !== null) expectBalanced(rules.state);
      }
    }),
    { numRuns: 1_000 },
  );
  // The property is worth something only if every row of the table came up.
  expect([...seen].sort()).toEqual([
    'adjust: committed',
    'adjust: insufficient_stock',
    'adjust: not_found',
    'create: already_exists',
    'create: committed',
    'delete: committed',
    'delete: not_found',
    'delete: open_reservations',
    'fulfil: committed',
    'fulfil: not_found',
    'fulfil: unknown_reservation',
    'release: committed',
    'release: not_found',
    'release: unknown_reservation',
    'reserve: already_reserved',
    'reserve: committed',
    'reserve: insufficient_stock',
    'reserve: not_found',
    'update: committed',
    'update: insufficient_stock',
    'update: not_found',
  ]);
});
