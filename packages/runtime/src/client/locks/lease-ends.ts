import {
  decode,
  eventSubject,
  LeaseLost,
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

const Expired = SuccessPayload.extend({ state: LockState });

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
    // An error, such as a missing permission, leaves it to the refreshes to tell.
    this.#subscriptions = [
      this.#connection.subscribe(eventSubject(lockContract.name, 'lost'), {
        callback: (error, message) => {
          if (error === null) this.#lost(message);
        },
      }),
      this.#connection.subscribe(eventSubject(lockContract.name, lockContract.expiryEvent), {
        callback: (error, message) => {
          if (error === null) this.#expired(message);
        },
      }),
    ];
  }

  #unsubscribe(): void {
    const subscriptions = this.#subscriptions;
    this.#subscriptions = [];
    if (this.#connection.isClosed()) return;
    for (const subscription of subscriptions) subscription.unsubscribe();
  }

  #lost(message: Msg): void {
    const lost = decode(LeaseLost, message.data);
    if (!lost.ok) return;
    const { cause, entity_id: resource, fencing_token: token, operator_id: operatorId, reason } = lost.value;
    this.#tell(
      resource,
      token,
      cause === 'broken'
        ? { cause: 'broken', reason: `an operator broke it: ${reason}`, details: { reason, operatorId } }
        : { cause: 'taken', reason: `the lock manager took it back: ${reason}`, details: { reason } },
    );
  }

  #expired(message: Msg): void {
    // A busy lock manager speaks of many locks: only what is said of our own is decoded.
    const about = parseSubject(message.headers?.get('Nats-Subject') ?? '');
    if (about?.kind !== 'entity' || !this.#watchers.has(about.entityId)) return;
    const expired = decode(Expired, message.data);
    if (!expired.ok) return;
    const loss = { cause: 'expired', reason: 'the lock manager says that its time is over' } as const;
    this.#tell(about.entityId, expired.value.state.fencing_token, loss);
  }

  #tell(resource: string, token: number, loss: LeaseLoss): void {
    for (const watcher of this.#watchers.get(resource) ?? []) {
      if (watcher.fencingToken === token) watcher.onEnd(loss);
    }
  }
}
