import { InventoryState, LockState } from '@meshforge/protocol';
import type { AgentClient } from './agent-client.ts';
import { CheckFailed } from './check.ts';
import { show } from './expect.ts';
import type { Reply } from './reply.ts';

/** Gives back what is reserved of an item and deletes it. Does nothing where there is none. */
export async function removeItem(inventory: AgentClient, id: string): Promise<void> {
  const item = await inventory.find(id, InventoryState);
  if (item === undefined) return;
  for (const orderId of Object.keys(item.state.reservations)) {
    assertDone(await inventory.send('release', id, { order_id: orderId }), ['not_found', 'unknown_reservation']);
  }
  assertDone(await inventory.send('delete', id), ['not_found']);
}

/** Releases a lock, whoever holds it. Does nothing where nobody does. */
export async function releaseResource(lock: AgentClient, id: string): Promise<void> {
  const held = await lock.find(id, LockState);
  if (held === undefined || held.state.owner_id === null) return;
  assertDone(await lock.send('release', id, { owner_id: held.state.owner_id }), ['not_held']);
}

/** A refusal that says it was done already is as good as doing it. */
function assertDone(reply: Reply, doneAlready: readonly string[]): void {
  if (reply.outcome.kind === 'committed' || doneAlready.includes(String(reply.payload['code']))) return;
  throw new CheckFailed(`${reply.subject} was answered ${reply.event} ${show(reply.payload)}`);
}
