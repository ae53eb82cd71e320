import type { Wire } from '../message.ts';
import type { Random } from '../random.ts';
import type { SimulatedTime } from '../time.ts';
import type { StoredMessage } from './store.ts';
import type { Stream } from './stream.ts';

/** What streams and consumers have of the server around them. */
export interface Surroundings {
  time: SimulatedTime;
  random: Random;
  /** How long a majority takes to store a change, in milliseconds. */
  commitMs: readonly [least: number, most: number];
  /** How far followers lag behind, in milliseconds. */
  lagMs: readonly [least: number, most: number];
  /** Publishes a message of the server; to its subject, if nothing else is said. */
  send: (message: Wire, to?: string) => void;
  /** Whether anybody listens there. */
  hasInterest: (subject: string) => boolean;
  /** Told of every message that a stream stores. */
  onStored: (stream: Stream, message: StoredMessage) => void;
}
