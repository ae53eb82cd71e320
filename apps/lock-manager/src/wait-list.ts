/**
 * The owners who wait for a lock, as they stand in the notes of its entity: so the compare-and-set of the lock decides who waits and
 * who comes first, for all replicas alike. First come first, by the server's clock as each replica knows it.
 */
import { LIMITS, LOCK_LIMITS } from '@meshforge/protocol';
import { digestOf } from '@meshforge/runtime';

/** One owner's place among those who wait. */
export interface Place {
  /** Short digest of the owner: owners can be long, and every commit on the lock carries all places. */
  readonly owner: string;
  /** Short digest of the id of the command that waits. */
  readonly command: string;
  /** When the wait began and when it ends, in milliseconds since the epoch. */
  readonly since: number;
  readonly until: number;
  /** Somebody behind it was granted the lock, for nobody served this place. */
  readonly wasPassed: boolean;
}

export type WaitList = readonly Place[];

/** 48 bits tell 512 owners apart, 36 bits the commands of one owner; more would not fit into the notes. */
export const ownerKey = (ownerId: string): string => digestOf(ownerId).slice(0, 8);
export const commandKey = (commandId: string): string => digestOf(commandId).slice(0, 6);

/** `<owner>.<command>.<begin>.<length>`, the times to the base 36; `<owner>!…` once the place was passed. */
const WORD = /^([\w-]+)([.!])([\w-]+)\.(\w+)\.(\w+)$/;

/** All places, also those whose wait is over. */
export function readWaitList(notes: string): WaitList {
  if (notes === '') return [];
  return notes.split(' ').map((word) => {
    const [, owner = '', mark, command = '', begin = '', length = ''] = WORD.exec(word) ?? [];
    const since = parseInt(begin, 36);
    return { owner, command, since, until: since + parseInt(length, 36), wasPassed: mark === '!' };
  });
}

/** Those who still wait. A wait that is over ends by itself: it never holds up the next. */
export function stillWaiting(list: WaitList, now: number): WaitList {
  return list.filter(({ until }) => until > now);
}

export function writeWaitList(list: WaitList): string {
  return list
    .map(({ owner, command, since, until, wasPassed }) => {
      return `${owner}${wasPassed ? '!' : '.'}${command}.${since.toString(36)}.${(until - since).toString(36)}`;
    })
    .join(' ');
}

/** With one more place, behind all who came before. An owner who waits already keeps the place, for the new command. */
export function join(list: WaitList, { owner, command, since, until }: Omit<Place, 'wasPassed'>): WaitList {
  const before = list.find((place) => place.owner === owner);
  const others = without(list, owner);
  const mine = { owner, command, since: before?.since ?? since, until, wasPassed: false };
  const at = others.findIndex((place) => place.since > mine.since);
  return at === -1 ? [...others, mine] : [...others.slice(0, at), mine, ...others.slice(at)];
}

export function without(list: WaitList, owner: string): WaitList {
  return list.filter((place) => place.owner !== owner);
}

/**
 * After a grant to an owner: without its place. Those before it were passed over, since nobody served them. Who is passed a second
 * time waits no more: a dead waiter must not hold up each of the others.
 */
export function afterGrant(list: WaitList, owner: string): WaitList {
  const at = list.findIndex((place) => place.owner === owner);
  const passed = at === -1 ? list : list.slice(0, at);
  const behind = at === -1 ? [] : list.slice(at + 1);
  return [...passed.filter(({ wasPassed }) => !wasPassed).map((place) => ({ ...place, wasPassed: true })), ...behind];
}

export function isTooLong(list: WaitList): boolean {
  return list.length > LOCK_LIMITS.maxWaiters || writeWaitList(list).length > LIMITS.noteBytes;
}
