/** What a worker is made of, and what it tells. */
import type { Clock } from '../clock.ts';
import type { Death } from './dead-letters.ts';
import type { QueuedMessage } from './delivery.ts';
import type { PullLoopOptions } from './pull-loop.ts';
import type { RetryPolicy } from './retry-policy.ts';

/** What came of one try. `conclude` is called before the message is removed. */
export type Verdict =
  | { kind: 'done'; conclude?: () => void }
  | Fault
  /** This worker stops: nothing is known of what was begun. */
  | { kind: 'abandoned' };

export interface Fault {
  kind: 'fault';
  code: string;
  reason: string;
  /** `hopeless`: no further try would make it better; `outage`: the message has no part in it. Else it may be the message's. */
  nature?: 'hopeless' | 'outage';
  conclude?: () => void;
}

/** How a worker knows which message of an entity comes next. */
export type Order =
  /** The stream keeps what is not done, and nothing else: the oldest that it holds of an entity comes next. */
  | {
      kind: 'stored';
      /** @throws NoAnswerError */
      oldest: (entity: string) => Promise<QueuedMessage | undefined>;
      /** Takes a message out of the stream. @throws NoAnswerError */
      remove: (message: QueuedMessage) => Promise<unknown>;
    }
  /** The consumer alone knows what is not done: a new run waits until it holds all that was delivered and not acknowledged. */
  | {
      kind: 'delivered';
      /** How many of them this worker does not hold. @param held how many it holds up to a sequence @throws NoAnswerError */
      missing: (held: (sequence: number) => number) => Promise<number>;
    };

export interface QueueStats {
  /** Whether this replica is the one that works. */
  active: boolean;
  /** Stored and not delivered yet, as far as this replica knows. */
  pending: number;
  /** Delivered and not done. */
  inFlight: number;
  /** Of those, the ones that wait for a further try, or behind one that does. */
  retrying: number;
  done: number;
  retried: number;
  redelivered: number;
  dead: number;
}

export interface WorkerOptions extends Omit<PullLoopOptions, 'room' | 'onRun' | 'onRunOver' | 'onDelivery'> {
  /** What it goes by in metrics. */
  name: string;
  clock: Clock;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  /** Messages in hand, without those that wait for a further try. */
  atOnce: number;
  retry: RetryPolicy;
  order: Order;
  /** The entity whose messages have to be in order. */
  entityOf: (message: QueuedMessage) => string;
  /** Whether this worker knows what to do with a message; one that does not leaves it to others. Default: it does. */
  handles?: (message: QueuedMessage) => boolean;
  attempt: (message: QueuedMessage) => Promise<Verdict>;
  /** Stores a dead letter. @returns why it could not; undefined: it is stored */
  bury: (message: QueuedMessage, death: Death) => Promise<string | undefined>;
  onRetry: (subject: string, reason: string, tries: number) => void;
  onDead: (subject: string, reason: string) => void;
}
