import { inventoryContract } from '@meshforge/protocol';
import { command, defineReaction } from '@meshforge/runtime';

/**
 * Has a reservation with a time to live released at its end. The command names that end: if the reservation was released,
 * fulfilled or made anew by then, it is refused, and nothing happens.
 */
export const expireReservations = defineReaction(
  inventoryContract,
  { name: 'inventory_expiry', events: ['reserved'] },
  ({ data, entityId }) => {
    const { order_id: order, until } = data as { order_id: string; until?: string };
    if (until === undefined) return undefined;
    return command(inventoryContract, 'release', { entityId, data: { order_id: order, until }, at: new Date(until) });
  },
);
