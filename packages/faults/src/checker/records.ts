/** A history as the invariants see it: entries joined by command, entity and place in the log. */
import type { JsonObject } from '@meshforge/protocol';
import type { Logged, Queued, Sent, Told } from '../history.ts';
import type { CheckedAgent } from './agents.ts';
import type { Landmark, Landmarks } from './landmarks.ts';

/** A command, and all that came of it. */
export interface Command {
  readonly sent: Sent;
  /** When it was last sent anew, with the same id, by somebody who wanted to know; else `sent.atMs`. */
  askedAgainAtMs: number;
  readonly entity: Entity;
  /** The highest version of its entity that anybody had been told of before it was sent. */
  readonly landmark: Landmark | undefined;
  readonly told: Told[];
  /** What became of it before it was executed, for one that is durable. */
  readonly queued: Queued[];
  /** Its commits, and the records that it was refused; more than one is a breach. */
  readonly messages: Message[];
  /** Only one copy of it was ever sent; known when its client is done with it. */
  single: boolean;
  /** An operator may have taken it out of the queue. */
  isLost: boolean;
  /** It was sent before an operator took away what its entity had; what it was told says nothing of what came after. */
  isOld: boolean;
}

/** A message of a log, in its place among those of its entity. */
export interface Message {
  readonly entry: Logged;
  readonly entity: Entity;
  /** The message of the same entity before it. */
  readonly before: Message | undefined;
  /** Among the messages of its entity, from 0. */
  readonly index: number;
  /** Of the entry, in milliseconds since the epoch. */
  readonly timeMs: number;
  /** Version of the entity after it: that of the entry, unless that is a void expiry. */
  readonly version: number;
  /** State of the entity after it: an expiry repeats the state of the lease and ends it. */
  readonly state: JsonObject | null;
  /** Notes of the entity after it: an expiry leaves those of the newest commit, and has a copy of older ones. */
  readonly notes: string;
  /** Mark of the entity after it. */
  readonly mark: number;
  /** Versions before it of which the log has no message any more. */
  readonly missing: number;
  /** An expiry whose version is not the highest before it: it changes nothing. */
  readonly isVoid: boolean;
  /** Version of the last lease whose expiry counts; 0 = none. */
  readonly ended: number;
  /** The command that made it; undefined for what no client asks for, and as long as it is not known to have been sent. */
  command: Command | undefined;
}

export interface Entity {
  readonly agent: CheckedAgent;
  readonly id: string;
  /** In log order. */
  readonly messages: Message[];
  /** Messages with versions missing before them, in log order. */
  readonly gaps: Message[];
  readonly landmarks: Landmarks;
  /** An operator is about to purge it: its versions may begin anew. */
  mayBeginAnew: boolean;
  /** It has begun anew, as another one of the same name. */
  isOver: boolean;
}

/** `inventory "bolt"` */
export function nameOf({ agent, id }: Entity): string {
  return `${agent.token} ${JSON.stringify(id)}`;
}

/** The first message after which the entity had this version or a higher one. */
export function messageAbove({ messages }: Entity, version: number): Message | undefined {
  return messages[firstIndex(messages, (message) => message.version >= version)];
}

/** The message before which this version of the entity is missing, if one is. */
export function gapAt({ gaps }: Entity, version: number): Message | undefined {
  const gap = gaps[firstIndex(gaps, (message) => lastMissing(message) >= version)];
  return gap !== undefined && version > lastMissing(gap) - gap.missing ? gap : undefined;
}

/** The highest version that is missing before a message. */
export function lastMissing({ entry }: Message): number {
  return repeatsVersion(entry) ? entry.version : entry.version - 1;
}

/** Whether it leaves the version as it was. */
export function repeatsVersion({ kind }: Logged): boolean {
  return kind !== 'commit';
}

/** Whether it was written while the lease that it leaves standing had just ended in the log. */
export function keepsWhatEnded({ keeps = '' }: Logged, ended: number): boolean {
  return ended > 0 && keeps.split(' ')[1] === String(ended);
}

/** Of an event, its name, whether or not the whole subject is given. */
export function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}

/** Index of the first item, in a list sorted so that `holds` turns from false to true once; its length if none. */
export function firstIndex<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (holds(items[middle] as T)) to = middle;
    else from = middle + 1;
  }
  return from;
}
