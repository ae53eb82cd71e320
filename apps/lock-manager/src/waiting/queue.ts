/**
 * The owners who wait for a lock, as they stand in the notes of its entity: so the compare-and-set of the lock decides who
 * waits, across all replicas. One word each, `<digest of the owner>.<begin of the wait>.<its length>[.<later begin>]`, first come
 * first: by the server's clock, as each replica knows it, and not by who won a race to the log.
 */
import { LOCK_LIMITS } from '@meshforge/protocol';
import { digestOf } from '@meshforge/runtime';

export interface Place {
  /** Short digest of the owner: owners can be long, and every commit on the lock carries all places. */
  key: string;
  /** When the wait began and when it ends, in milliseconds since the epoch. */
  since: number;
  until: number;
  /** When the latest command came for which the owner waits. */
  asked: number;
}

export type Queue = readonly Place[];

export const keyOf: (ownerId: string) => string = digestOf;

/** Those who still wait. A wait that is over ends by itself: it never holds up the next. */
export function readQueue(notes: string, now: number): Queue {
  if (notes === '') return [];
  return notes
    .split(' ')
    .map((word) => {
      const [key = '', begin = '', length = '', later = '0'] = word.split('.');
      const since = parseInt(begin, 36);
      return { key, since, until: since + parseInt(length, 36), asked: since + parseInt(later, 36) };
    })
    .filter(({ until }) => until > now);
}

export function writeQueue(queue: Queue): string {
  return queue
    .map(({ key, since, until, asked }) => {
      const word = `${key}.${since.toString(36)}.${(until - since).toString(36)}`;
      return asked === since ? word : `${word}.${(asked - since).toString(36)}`;
    })
    .join(' ');
}

/** Whether the owner waits already for a command that is not earlier: an earlier one, late to the log, changes nothing. */
export function waitsForLater(
  queue: Queue,
  ownerId: string,
  { since, until }: Pick<Place, 'since' | 'until'>,
): boolean {
  const place = queue.find(({ key }) => key === keyOf(ownerId));
  return place !== undefined && (place.asked > since || (place.asked === since && place.until !== until));
}

/** 1 = next, 0 = does not wait. */
export function positionOf(queue: Queue, ownerId: string): number {
  const key = keyOf(ownerId);
  return queue.findIndex((place) => place.key === key) + 1;
}

/** With an owner behind all who came before; one who waits already keeps the place, with a new end of the wait. */
export function enqueue(queue: Queue, ownerId: string, { since, until }: Pick<Place, 'since' | 'until'>): Queue {
  const key = keyOf(ownerId);
  const before = queue.find((place) => place.key === key);
  const others = queue.filter((place) => place.key !== key);
  const mine = { key, since: Math.min(since, before?.since ?? since), until, asked: since };
  const at = others.findIndex((place) => place.since > mine.since);
  return at === -1 ? [...others, mine] : [...others.slice(0, at), mine, ...others.slice(at)];
}

export function dequeue(queue: Queue, ownerId: string): Queue {
  const key = keyOf(ownerId);
  return queue.filter((place) => place.key !== key);
}

export function isFull(queue: Queue): boolean {
  return queue.length >= LOCK_LIMITS.maxWaiters;
}
