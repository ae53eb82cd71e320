import type { HeldCommand, HeldCommands } from '@meshforge/runtime';
import { ownerOf } from './held-acquire.ts';

/** Whether the owner of a command waits with another one, too, by what the server has. Rejects when it does not answer. */
export async function isSuperseded(held: HeldCommands, command: HeldCommand): Promise<boolean> {
  const { commandId, entityId } = command;
  const isOther = (other: HeldCommand): boolean => other.commandId !== commandId && ownerOf(other) === ownerOf(command);
  if (held.of(entityId).some(isOther)) return true;
  await held.refresh(entityId);
  return held.of(entityId).some(isOther);
}
