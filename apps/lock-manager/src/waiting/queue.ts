/**
 * The owners who wait for a lock, as they stand in the notes of its entity: so the compare-and-set of the lock decides who
 * waits, across all replicas. One word each, `<digest of the owner>.<begin of the wait>.<its length>[.<later begin>]`, first come
 * first: by the server's clock, as each replica knows it, and not by who won a race to the log.
 */
import { LIMITS, LOCK_LIMITS } from '@meshforge/protocol';
import { digestOf } from '@meshforge/runtime';

export interface Place {
  /** Short digest of the owner: owners can be long, and every commit on the lock carries all places. */
  readonly key: string;
  /** When the wait began and when it ends, in milliseconds since the epoch. */
  readonly since: number;
  readonly until: number;
  /** When the latest command came for which the owner waits. */
  readonly asked: number;
}

export type Queue = readonly Place[];

export const keyOf: (ownerId: string) => string = digestOf;

/** Those who still wait. A wait that is over ends by itself: it never holds up the next. */
export function readQueue(notes: string, now: number): Queue {
  const queue = parse(notes);
  return queue.every(({ until }) => until > now) ? queue : queue.filter(({ until }) => until > now);
}

export function writeQueue(queue: Queue): string {
  const notes = queue.map(wordOf).join(' ');
  remember(notes, queue);
  return notes;
}

/** The queues of the locks that were last busy, as they were read or written: the next look at one of them follows soon. */
const parsed = new Map<string, Queue>();
const MAX_PARSED = 32;
const words = new WeakMap<Place, string>();

function parse(notes: string): Queue {
  if (notes === '') return [];
  const known = parsed.get(notes);
  if (known !== undefined) return known;
  const queue = notes.split(' ').map((word) => {
    const [key = '', begin = '', length = '', later = '0'] = word.split('.');
    const since = parseInt(begin, 36);
    const place = { key, since, until: since + parseInt(length, 36), asked: since + parseInt(later, 36) };
    words.set(place, word);
    return place;
  });
  remember(notes, queue);
  return queue;
}

function remember(notes: string, queue: Queue): void {
  parsed.set(notes, queue);
  for (const oldest of parsed.keys()) {
    if (parsed.size <= MAX_PARSED) return;
    parsed.delete(oldest);
  }
}

function wordOf(place: Place): string {
  const known = words.get(place);
  if (known !== undefined) return known;
  const { asked, key, since, until } = place;
  const begun = `${key}.${since.toString(36)}.${(until - since).toString(36)}`;
  const word = asked === since ? begun : `${begun}.${(asked - since).toString(36)}`;
  words.set(place, word);
  return word;
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

/** The longest place: that of an owner who has asked anew again and again. */
const PLACE_BYTES = 40;

export function isFull(queue: Queue): boolean {
  if (queue.length >= LOCK_LIMITS.maxWaiters) return true;
  return queue.length * PLACE_BYTES > LIMITS.noteBytes && writeQueue(queue).length + PLACE_BYTES > LIMITS.noteBytes;
}
