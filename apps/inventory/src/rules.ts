/** The rules of the inventory: pure functions of a stock item and a command's data. */
import type { InventoryState } from '@meshforge/protocol';
import { commit, reject, type RuleContext, type RuleResult } from '@meshforge/runtime';

type Result = RuleResult<InventoryState>;

export function create(_none: null, { name, quantity }: { name: string; quantity: number }): Result {
  return { name, quantity, reserved: 0, reservations: {} };
}

export function update(
  item: InventoryState,
  change: { name?: string | undefined; quantity?: number | undefined },
): Result {
  const { name = item.name, quantity = item.quantity } = change;
  if (quantity < item.reserved) {
    return insufficient(`quantity ${quantity} is below the ${item.reserved} that are reserved`);
  }
  return { ...item, name, quantity };
}

export function adjust(item: InventoryState, { delta }: { delta: number }): Result {
  const available = item.quantity - item.reserved;
  if (available + delta < 0) return insufficient(`${-delta} are to be taken, ${available} are available`);
  if (item.quantity + delta > MAX_QUANTITY) {
    return reject('quantity_too_large', `the quantity would exceed ${MAX_QUANTITY}`);
  }
  return commit({ ...item, quantity: item.quantity + delta }, { data: { delta } });
}

export function reserve(
  item: InventoryState,
  { order_id: id, quantity, ttl_ms: ttlMs }: { order_id: string; quantity: number; ttl_ms?: number | undefined },
  { now }: Pick<RuleContext, 'now'>,
): Result {
  if (Object.hasOwn(item.reservations, id)) {
    return reject('already_reserved', `order ${JSON.stringify(id)} holds ${item.reservations[id]} already`);
  }
  const available = item.quantity - item.reserved;
  if (quantity > available) return insufficient(`${quantity} are to be reserved, ${available} are available`);
  const reservations = { ...item.reservations, [id]: quantity };
  const reserved = { ...item, reserved: item.reserved + quantity, reservations };
  if (ttlMs === undefined) return commit(reserved, { data: { order_id: id, quantity } });
  const until = new Date(now + ttlMs).toISOString();
  return commit({ ...reserved, until: { ...item.until, [id]: until } }, { data: { order_id: id, quantity, until } });
}

export function release(
  item: InventoryState,
  { order_id: id, until }: { order_id: string; until?: string | undefined },
): Result {
  const taken = take(item, id);
  if (taken === undefined) return unknownReservation(id);
  if (until !== undefined && taken.until !== until) {
    return reject('unknown_reservation', `order ${JSON.stringify(id)} holds no reservation that ends at ${until}`);
  }
  return commit(taken.item, { data: dataOf(id, taken) });
}

export function fulfil(item: InventoryState, { order_id: id }: { order_id: string }): Result {
  const taken = take(item, id);
  if (taken === undefined) return unknownReservation(id);
  return commit({ ...taken.item, quantity: item.quantity - taken.quantity }, { data: dataOf(id, taken) });
}

export function remove(item: InventoryState): Result {
  const open = Object.keys(item.reservations).length;
  return open === 0 ? null : reject('open_reservations', `${open} reservations are open: release or fulfil them first`);
}

interface Taken {
  /** The item without the reservation. */
  item: InventoryState;
  quantity: number;
  until: string | undefined;
}

function take(item: InventoryState, id: string): Taken | undefined {
  const { [id]: quantity, ...reservations } = item.reservations;
  if (quantity === undefined || !Object.hasOwn(item.reservations, id)) return undefined;
  const { until: ends = {}, ...rest } = item;
  const { [id]: until, ...others } = ends;
  const left = { ...rest, reserved: item.reserved - quantity, reservations };
  return {
    item: Object.keys(others).length === 0 ? left : { ...left, until: others },
    quantity,
    until: Object.hasOwn(ends, id) ? until : undefined,
  };
}

function dataOf(id: string, { quantity, until }: Taken): { order_id: string; quantity: number; until?: string } {
  return { order_id: id, quantity, ...(until === undefined ? {} : { until }) };
}

/** As the wire's schema has it. */
const MAX_QUANTITY = 1_000_000_000_000;

function insufficient(reason: string): Result {
  return reject('insufficient_stock', reason);
}

function unknownReservation(id: string): Result {
  return reject('unknown_reservation', `order ${JSON.stringify(id)} holds no reservation of this item`);
}
