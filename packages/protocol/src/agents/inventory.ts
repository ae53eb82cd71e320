import { z } from 'zod';
import { defineContract } from '../contract.ts';
import { boundedText, Timestamp } from '../primitives.ts';

/** Nobody stocks more; it keeps every sum of quantities an exact integer. */
const MAX_QUANTITY = 1_000_000_000_000;

const Quantity = z.int().min(0).max(MAX_QUANTITY);
const ReservedQuantity = z.int().min(1).max(MAX_QUANTITY);
/** `__proto__` would be lost: as a key of the reservations it names an object's prototype. */
const OrderId = boundedText(256)
  .refine((id) => id !== '__proto__', { error: '__proto__ cannot name an order' })
  .meta({ not: { const: '__proto__' } });
const Name = boundedText(256);

/** A stock item: what is on hand, and how much of it is promised to which order. */
export const InventoryState = z
  .strictObject({
    name: Name,
    /** On hand, the reserved part included. */
    quantity: Quantity,
    /** Sum of the open reservations; never above `quantity`. */
    reserved: Quantity,
    /** Open reservations: quantity by order id. */
    reservations: z.record(OrderId, ReservedQuantity),
    /** When those of them end that have a time to live, by order id. */
    until: z.record(OrderId, Timestamp).optional(),
  })
  .refine((item) => item.reserved <= item.quantity, { error: 'reserved must not exceed quantity' });
export type InventoryState = z.output<typeof InventoryState>;

const Reservation = z.object({ order_id: OrderId, quantity: ReservedQuantity, until: Timestamp.optional() });
const ByOrder = z.strictObject({ order_id: OrderId });
/** Shortest and longest time to live of a reservation, in milliseconds: half a second, and about a year. */
const TTL_MS = [500, 31_622_400_000] as const;

/** The agent `inventory`. */
export const inventoryContract = defineContract({
  name: 'inventory',
  description: 'Stock on hand and reservations, one entity per stock item.',
  state: InventoryState,
  actions: {
    create: {
      description: 'Adds a stock item. Refused when it exists.',
      data: z.strictObject({ name: Name, quantity: Quantity.default(0) }),
      event: 'created',
    },
    update: {
      description: 'Renames an item or sets its quantity on hand. Refused when that would fall below what is reserved.',
      data: z
        .strictObject({ name: Name.optional(), quantity: Quantity.optional() })
        .refine((data) => data.name !== undefined || data.quantity !== undefined, {
          error: 'expected name, quantity or both',
        })
        .meta({ minProperties: 1 }),
      event: 'updated',
    },
    adjust: {
      description: 'Adds to the quantity on hand, or takes from what is not reserved.',
      data: z.strictObject({
        delta: z
          .int()
          .min(-MAX_QUANTITY)
          .max(MAX_QUANTITY)
          .refine((delta) => delta !== 0, { error: 'expected a delta other than 0' })
          .meta({ not: { const: 0 } }),
      }),
      event: 'adjusted',
      eventData: z.object({ delta: z.int() }),
    },
    reserve: {
      description: 'Sets stock aside for an order that holds none of this item yet; with ttl_ms only for so long.',
      data: z.strictObject({
        order_id: OrderId,
        quantity: ReservedQuantity,
        ttl_ms: z.int().min(TTL_MS[0]).max(TTL_MS[1]).optional(),
      }),
      event: 'reserved',
      eventData: Reservation,
    },
    release: {
      description: "Gives an order's reservation back to the stock; with `until` only the one that ends then.",
      data: z.strictObject({ order_id: OrderId, until: Timestamp.optional() }),
      event: 'released',
      eventData: Reservation,
    },
    fulfil: {
      description: "Takes an order's reserved stock out.",
      data: ByOrder,
      event: 'fulfilled',
      eventData: Reservation,
    },
    delete: {
      description: 'Removes the item. Refused while reservations are open.',
      data: z.strictObject({}),
      event: 'deleted',
    },
  },
});
