import type { LockState, LockView } from '@meshforge/protocol';
import type { HeldCommand, SeenEntity } from '@meshforge/runtime';
import { isHeld } from '../denied.ts';
import { ownerKeyOf, ownerOf } from './held-acquire.ts';
import { readQueue } from './queue.ts';

/** What queries tell of a lock beside its state. @param held the commands that wait for it, to name their owners */
export function viewOf(
  { notes, state }: Pick<SeenEntity, 'notes' | 'state'>,
  now: number,
  held: readonly HeldCommand[] | undefined,
): LockView {
  const lock = state as LockState | null;
  const queue = readQueue(notes, now);
  const view = {
    remaining_ms: isHeld(lock) ? Math.max(0, Date.parse(lock.expires_at) - now) : 0,
    waiters: queue.length,
  };
  if (held === undefined) return view;
  const owners = new Map(held.map((command) => [ownerKeyOf(command), ownerOf(command)]));
  return {
    ...view,
    queue: queue.flatMap(({ key, until }, index) => {
      const owner = owners.get(key);
      // News of a waiter can be a moment behind the queue.
      return owner === undefined
        ? []
        : [{ owner_id: owner, position: index + 1, until: new Date(until).toISOString() }];
    }),
  };
}
