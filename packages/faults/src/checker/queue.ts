/**
 * The queue of a lock as its log shows it: a word for each place in the notes of the lock, `<digest of the owner>.<begin of
 * the wait>.<its length>[.<later begin>]`, the times to the base 36. Read without the lock manager's own code.
 */
import { digestOf } from '@meshforge/runtime';
import type { Logged, Sent } from '../history.ts';
import type { Ruling } from './ruling.ts';

export interface Place {
  readonly key: string;
  readonly since: number;
  readonly until: number;
  /** When the latest command of the owner came. */
  readonly asked: number;
}

export function placesIn(notes: string): readonly Place[] {
  if (notes === '') return [];
  return notes.split(' ').map((word) => {
    const [key = '', begin = '', length = '', later = '0'] = word.split('.');
    const since = parseInt(begin, 36);
    return { key, since, until: since + parseInt(length, 36), asked: since + parseInt(later, 36) };
  });
}

/** How long a command may wait for its answer, in milliseconds. */
export function waitMsOf({ action, agent, data, expectedVersion }: Sent): number {
  const isWaiting = agent === 'lock' && action === 'acquire' && expectedVersion === undefined;
  return isWaiting ? Number(data['wait_ms'] ?? 0) : 0;
}

/** That one waits no longer is told as what one has waited for. */
export function afterWaiting(ruled: Ruling): Ruling {
  return ruled.kind === 'refusal' && ruled.code === 'not_waiting' ? { ...ruled, code: 'held' } : ruled;
}

export function keyOfOwner(ownerId: string): string {
  return digestOf(ownerId);
}

/** Whose place a change of the queue is about. A place that nobody claims is taken away without a name. */
export function subjectOf({ data, notes = '' }: Logged, before: string): string | undefined {
  const owner = data?.['owner_id'];
  if (typeof owner === 'string') return keyOfOwner(owner);
  // Others that are gone had ended: theirs were over sooner.
  return gone(before, notes)
    .toSorted((one, other) => one.until - other.until)
    .at(-1)?.key;
}

/** When a change of the queue was decided, as far as it tells: places that are over are dropped with it. */
export function queueChangedAt(entry: Logged, before: string, beforeMs: number): number {
  const { notes = '' } = entry;
  const subject = subjectOf(entry, before);
  const mine = placesIn(notes).find(({ key }) => key === subject);
  const dropped = [
    ...gone(before, notes),
    ...placesIn(before).filter(({ key, since }) => key === mine?.key && since < mine.since),
  ];
  const ends = dropped.filter(({ key }) => key !== subject || mine !== undefined).map(({ until }) => until);
  const kept = placesIn(notes).filter(({ key }) => key !== subject);
  return Math.max(...ends, Math.min(beforeMs, ...kept.map(({ until }) => until - 1)));
}

function gone(before: string, after: string): Place[] {
  const left = new Set(placesIn(after).map(({ key }) => key));
  return placesIn(before).filter(({ key }) => !left.has(key));
}
