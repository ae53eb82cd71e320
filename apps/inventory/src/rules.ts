/** The rules of the inventory: pure functions of a stock item and a command's data. */
import type { InventoryState } from '@meshforge/protocol';
import { commit, reject, type RuleResult } from '@meshforge/runtime';

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
  { order_id: id, quantity }: { order_id: string; quantity: number },
): Result {
  if (Object.hasOwn(item.reservations, id)) {
    return reject('already_reserved', `order ${JSON.stringify(id)} holds ${item.reservations[id]} already`);
  }
  const available = item.quantity - item.reserved;
  if (quantity > available) return insufficient(`${quantity} are to be reserved, ${available} are available`);
  const reservations = { ...item.reservations, [id]: quantity };
  return commit({ ...item, reserved: item.reserved + quantity, reservations }, { data: { order_id: id, quantity } });
}

export function release(item: InventoryState, { order_id: id }: { order_id: string }): Result {
  const { [id]: quantity, ...reservations } = item.reservations;
  if (quantity === undefined || !Object.hasOwn(item.reservations, id)) return unknownReservation(id);
  return commit({ ...item, reserved: item.reserved - quantity, reservations }, { data: { order_id: id, quantity } });
}

export function fulfil(item: InventoryState, { order_id: id }: { order_id: string }): Result {
  const { [id]: quantity, ...reservations } = item.reservations;
  if (quantity === undefined || !Object.hasOwn(item.reservations, id)) return unknownReservation(id);
  return commit(
    { ...item, quantity: item.quantity - quantity, reserved: item.reserved - quantity, reservations },
    { data: { order_id: id, quantity } },
  );
}

export function remove(item: InventoryState): Result {
  const open = Object.keys(item.reservations).length;
  return open === 0 ? null : reject('open_reservations', `${open} reservations are open: release or fulfil them first`);
}

/** As the wire's schema has it. */
const MAX_QUANTITY = 1_000_000_000_000;

function insufficient(reason: string): Result {
  return reject('insufficient_stock', reason);
}

function unknownReservation(id: string): Result {
  return reject('unknown_reservation', `order ${JSON.stringify(id)} holds no reservation of this item`);
}
