/**
 * The commands that wait for a lock, as they stand in the notes of its entity: so the compare-and-set of the lock decides who waits
 * and who comes first, for all replicas alike. First come first, by the server's clock as each replica knows it.
 */
import { LIMITS, LOCK_LIMITS } from '@meshforge/protocol';
import { digestOf } from '@meshforge/runtime';

/** The place of one command among those that wait. */
export interface Place {
  /** Short digest of the owner: owners can be long, and every commit on the lock carries all places. */
  readonly owner: string;
  /** Short digest of the command's id. */
  readonly command: string;
  /** When the wait began and when it ends, in milliseconds since the epoch. */
  readonly since: number;
  readonly until: number;
  /**
   * - `passed`: it waits, and nobody served it when its turn had come, so that the lock went to another.
   * - `ended`: it was cancelled, or has given way to another command of its owner. It stays until its time would have been over:
   *   so any replica knows what to answer.
   */
  readonly status: 'waiting' | 'passed' | 'ended';
}

export type WaitList = readonly Place[];

/** 48 bits tell 512 owners apart, 36 more the commands of one owner. Longer digests would not fit into the notes. */
export const ownerKey = (ownerId: string): string => digestOf(ownerId).slice(0, 8);
export const commandKey = (commandId: string): string => digestOf(commandId).slice(0, 6);
export const keyOf = ({ owner, command }: Pick<Place, 'owner' | 'command'>): string => `${owner}.${command}`;

/** Places that have ended are kept as long as there are no more of them. */
const MAX_ENDED = 16;
const MARKS = { waiting: '.', passed: '!', ended: '~' } as const;
const STATUS = { '.': 'waiting', '!': 'passed', '~': 'ended' } as const;
/** `<owner><mark><command>.<begin>.<length>`, the times to the base 36. */
const WORD = /^([\w-]+)([.!~])([\w-]+)\.(\w+)\.(\w+)$/;

/** The lists of the locks that were last busy, as they were read or written: the next look at one of them follows soon. */
const known = new Map<string, WaitList>();
const MAX_KNOWN = 32;
const words = new WeakMap<Place, string>();

function remember(notes: string, list: WaitList): WaitList {
  known.set(notes, list);
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value as string);
  return list;
}

export function readWaitList(notes: string): WaitList {
  if (notes === '') return [];
  return known.get(notes) ?? remember(notes, notes.split(' ').map(placeIn));
}

function placeIn(word: string): Place {
  const [, owner = '', mark = '.', command = '', begin = '', length = ''] = WORD.exec(word) ?? [];
  const since = parseInt(begin, 36);
  const until = since + parseInt(length, 36);
  const place = { owner, command, since, until, status: STATUS[mark as keyof typeof STATUS] };
  words.set(place, word);
  return place;
}

export function writeWaitList(list: WaitList): string {
  const ended = list.filter(({ status }) => status === 'ended');
  const dropped = new Set(ended.slice(0, Math.max(0, ended.length - MAX_ENDED)));
  const kept = dropped.size === 0 ? list : list.filter((place) => !dropped.has(place));
  const notes = kept.map(wordOf).join(' ');
  remember(notes, kept);
  return notes;
}

function wordOf(place: Place): string {
  const { owner, command, since, until, status } = place;
  let word = words.get(place);
  word ??= `${owner}${MARKS[status]}${command}.${since.toString(36)}.${(until - since).toString(36)}`;
  words.set(place, word);
  return word;
}

/** Without the waits whose time is over: nobody has to be alive to end them. */
export function inTime(list: WaitList, now: number): WaitList {
  return list.every(({ until }) => until > now) ? list : list.filter(({ until }) => until > now);
}

export function waitersIn(list: WaitList): WaitList {
  return list.every(({ status }) => status !== 'ended') ? list : list.filter(({ status }) => status !== 'ended');
}

/** Where an owner waits: 0 = first, -1 = does not wait. */
export function positionOf(list: WaitList, owner: string): number {
  return waitersIn(list).findIndex((place) => place.owner === owner);
}

/** With one more place, behind all who came before. An owner who waits already keeps the place, for the new command. */
export function join(list: WaitList, { owner, command, since, until }: Omit<Place, 'status'>): WaitList {
  const before = waitersIn(list).find((place) => place.owner === owner);
  const others = end(list, owner);
  const mine = { owner, command, since: before?.since ?? since, until, status: 'waiting' } as const;
  const at = others.findIndex((place) => place.since > mine.since);
  return at === -1 ? [...others, mine] : [...others.slice(0, at), mine, ...others.slice(at)];
}

export function isTooLong(list: WaitList): boolean {
  return waitersIn(list).length > LOCK_LIMITS.maxWaiters || writeWaitList(list).length > LIMITS.noteBytes;
}

/** Ends the wait of an owner, whatever command it is for. */
export function end(list: WaitList, owner: string): WaitList {
  if (list.every((place) => place.owner !== owner)) return list;
  return list.map((place) => (place.owner === owner ? { ...place, status: 'ended' } : place));
}

/** Without the place of a command, which has its answer by that. */
export function without(list: WaitList, owner: string, command: string): WaitList {
  return list.filter((place) => place.owner !== owner || place.command !== command);
}

/**
 * Before a grant to an owner: those before it were passed over, since nobody served them. Who is passed a second time waits no
 * more: a dead waiter must not hold up each of the others.
 */
export function passOver(list: WaitList, owner: string): WaitList {
  const own = list.findIndex((place) => place.owner === owner && place.status !== 'ended');
  return list.flatMap((place, at) => {
    if (place.status === 'ended' || (own !== -1 && at >= own)) return [place];
    return place.status === 'passed' ? [] : [{ ...place, status: 'passed' as const }];
  });
}
