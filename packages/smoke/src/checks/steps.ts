/** Steps that several checks begin or end with. */
import { InventoryState, type LockState } from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { expectItem, expectLock } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import type { Reply } from '../reply.ts';

/** A new item at version 1. */
export async function createItem(context: CheckContext, quantity = 10, label?: string): Promise<string> {
  const id = context.newItem(label);
  expectItem(await context.inventory.send('create', id, { name: 'smoke', quantity }), 'created', 1);
  return id;
}

/** A new item at version 2, so that an expected version 1 is stale. */
export async function createUpdatedItem(context: CheckContext): Promise<string> {
  const id = await createItem(context);
  expectItem(await context.inventory.send('update', id, { quantity: 20 }, { expect: 1 }), 'updated', 2);
  return id;
}

/** The item is what it was: the same version, the same quantities. */
export async function expectItemIs(
  context: CheckContext,
  id: string,
  version: number,
  expected: Partial<InventoryState>,
): Promise<void> {
  const found = await context.inventory.find(id, InventoryState);
  expectEqual(`version of ${id}`, found?.entity_version, version);
  expectEqual(`state of ${id}`, { ...found?.state, ...expected }, found?.state);
}

/** A lock that `owner` holds from now on. */
export async function acquireLock(
  context: CheckContext,
  resource: string,
  owner: string,
  ttlMs = 30_000,
): Promise<{ version: number; state: LockState; reply: Reply }> {
  const reply = await context.lock.send('acquire', resource, { owner_id: owner, ttl_ms: ttlMs });
  return { ...expectLock(reply, 'acquired'), reply };
}
