/** How places in a queue are taken away. */
import type { AgentHost, HeldCommand, StoreOutcome } from '@meshforge/runtime';
import { grantOf, heldStill, internally, ownerKeyOf, ownerOf } from './held-acquire.ts';
import type { Place } from './queue.ts';

/** Takes the place of a command away. */
export async function leavePlace(host: AgentHost, command: HeldCommand): Promise<StoreOutcome> {
  const place = { key: ownerKeyOf(command), owner_id: ownerOf(command), until: command.until };
  return await host.execute(internally(host.replica, command, 'leave', place));
}

/** Takes the place of a command away, and with it the chance of a grant. @returns what is so then */
export async function giveUpPlace(host: AgentHost, command: HeldCommand): Promise<StoreOutcome> {
  const left = await leavePlace(host, command);
  return left.kind === 'unavailable' ? left : heldStill(await host.execute(grantOf(command)));
}

/** Takes a place away of which nobody knows who waited in it: the place itself does not name the owner. */
export async function clearPlace(host: AgentHost, entityId: string, { key, until }: Place): Promise<void> {
  const nobody = { entityId, headers: [], commandId: '' };
  await host.execute(internally(host.replica, nobody, 'leave', { key, until }));
}
