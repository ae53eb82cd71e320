/**
 * Who waits for a lock, as its log shows: a word for each place in the notes of the lock, `<owner>.<command>.<begin>.<length>` with
 * short digests of the owner and of the command's id, and times to the base 36. Behind the owner is a `~` where the wait has ended,
 * and a `!` where the place was passed over. Read without the lock manager's own code.
 */
import { digestOf } from '@meshforge/runtime';
import type { Sent } from '../history.ts';

export interface Place {
  readonly owner: string;
  readonly command: string;
  readonly since: number;
  readonly until: number;
  readonly hasEnded: boolean;
}

export function placesIn(notes: string): readonly Place[] {
  return [...notes.matchAll(/([\w-]+)([.!~])([\w-]+)\.(\w+)\.(\w+)/g)].map((word) => {
    const [, owner = '', mark, command = '', begin = '', length = ''] = word;
    const since = parseInt(begin, 36);
    return { owner, command, since, until: since + parseInt(length, 36), hasEnded: mark === '~' };
  });
}

/** The place at which an owner waits. */
export function placeOf(ownerId: unknown, notes: string): Place | undefined {
  const key = keyOfOwner(String(ownerId));
  return placesIn(notes).find(({ hasEnded, owner }) => owner === key && !hasEnded);
}

/** How long a command may wait for its answer, in milliseconds. */
export function waitMsOf({ action, agent, data, expectedVersion }: Sent): number {
  const isWaiting = agent === 'lock' && action === 'acquire' && expectedVersion === undefined;
  return isWaiting ? Number(data['wait_ms'] ?? 0) : 0;
}

export function keyOfOwner(ownerId: string): string {
  return digestOf(ownerId).slice(0, 8);
}

export function keyOfCommand(commandId: string): string {
  return digestOf(commandId).slice(0, 6);
}
