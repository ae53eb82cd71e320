import {
  decode,
  eventSubject,
  LeaseTaken,
  lockContract,
  LockState,
  parseSubject,
  SuccessPayload,
} from '@meshforge/protocol';
import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import type { HeldLock, LeaseLoss } from './types.ts';

interface Watcher extends HeldLock {
  onEnd: (loss: LeaseLoss) => void;
}

const EVENTS = ['released', lockContract.expiryEvent] as const;
const Ended = SuccessPayload.extend({ state: LockState });

/**
 * Tells holders at once when the log says that their lease has ended: broken by an operator, or expired. Live events may
 * be lost; then the next refresh tells. One subscription for all leases of a client, while there are any.
 */
export class LeaseEnds {
  readonly #connection: NatsConnection;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #subscriptions: Subscription[] = [];

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** @returns what stops it */
  watch({ resource, fencingToken }: HeldLock, onEnd: (loss: LeaseLoss) => void): () => void {
    const watcher = { resource, fencingToken, onEnd };
    const watchers = this.#watchers.get(resource) ?? new Set();
    this.#watchers.set(resource, watchers.add(watcher));
    if (this.#subscriptions.length === 0) this.#subscribe();
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(resource) === watchers) this.#watchers.delete(resource);
      if (this.#watchers.size === 0) this.#unsubscribe();
    };
  }

  #subscribe(): void {
    if (this.#connection.isClosed() || this.#connection.isDraining()) return;
    this.#subscriptions = EVENTS.map((event) =>
      this.#connection.subscribe(eventSubject(lockContract.name, event), {
        // An error, such as a missing permission, leaves it to the refreshes to tell.
        callback: (error, message) => {
          if (error === null) this.#tell(event, message);
        },
      }),
    );
  }

  #unsubscribe(): void {
    const subscriptions = this.#subscriptions;
    this.#subscriptions = [];
    if (this.#connection.isClosed()) return;
    for (const subscription of subscriptions) subscription.unsubscribe();
  }

  #tell(event: (typeof EVENTS)[number], message: Msg): void {
    // A busy lock manager speaks of many locks: only what is said of our own is decoded.
    const about = parseSubject(message.headers?.get('Nats-Subject') ?? '');
    const watchers = about?.kind === 'entity' ? this.#watchers.get(about.entityId) : undefined;
    if (watchers === undefined) return;
    const ended = decode(Ended, message.data);
    if (!ended.ok) return;
    const { state, data } = ended.value;
    for (const watcher of watchers) {
      if (watcher.fencingToken === state.fencing_token) watcher.onEnd(lossBy(event, data));
    }
  }
}

function lossBy(event: (typeof EVENTS)[number], data: unknown): LeaseLoss {
  if (event === 'expired') return { cause: 'expired', reason: 'the lock manager says that its time is over' };
  const taken = LeaseTaken.safeParse(data);
  if (!taken.success) return { cause: 'taken', reason: 'it was released elsewhere in the name of its owner' };
  const { cause, reason, operator_id: operatorId } = taken.data;
  return cause === 'broken'
    ? { cause: 'broken', reason: `an operator broke it: ${reason}`, details: { reason, operatorId } }
    : { cause: 'taken', reason: `the lock manager took it back: ${reason}`, details: { reason } };
}
