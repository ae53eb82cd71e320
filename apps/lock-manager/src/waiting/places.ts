/** How places in a queue are taken away. */
import type { AgentHost, HeldCommand, StoreOutcome } from '@meshforge/runtime';
import { grantOf, heldStill, internally, ownerKeyOf, ownerOf } from './held-acquire.ts';
import type { Place } from './queue.ts';

/** Takes the place of a command away, and with it the chance of a grant. @returns what is so then */
export async function giveUpPlace(host: AgentHost, command: HeldCommand): Promise<StoreOutcome> {
  const place = { key: ownerKeyOf(command), owner_id: ownerOf(command), until: command.until };
  const left = await host.execute(internally(host.replica, command, 'leave', place));
  return left.kind === 'unavailable' ? left : heldStill(await host.execute(grantOf(command)));
}

/** Takes a place away that nobody waits in. @param owner if that is known: the place itself does not name it */
export async function clearPlace(
  host: AgentHost,
  entityId: string,
  { key, until }: Pick<Place, 'key' | 'until'>,
  owner?: string,
): Promise<void> {
  const nobody = { entityId, headers: [], commandId: '' };
  const who = owner === undefined ? {} : { owner_id: owner };
  await host.execute(internally(host.replica, nobody, 'leave', { key, ...who, until }));
}
