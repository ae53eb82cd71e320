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

/** What events tell the holder of a lease. */
export interface LeaseWatcher {
  /** The lease was taken away. */
  onTaken: (loss: LeaseLoss) => void;
  /** The server has ended it. @param version of the lock; a later refresh makes the event void */
  onExpired: (version: number) => void;
}

type Watcher = HeldLock & LeaseWatcher;

const Expired = SuccessPayload.extend({ state: LockState });

/**
 * Tells holders at once when the log says that their lease has ended: broken by an operator, or expired. Live events may
 * be lost; then the next refresh tells. One subscription for all leases of a client; it ends with the first message that comes
 * while there are none, so that a client which locks again and again need not subscribe again and again.
 */
export class LeaseEnds {
  readonly #connection: NatsConnection;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #subscriptions: Subscription[] = [];
  /** Leases that may be granted any moment. */
  #expected = 0;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Listens from now on: the end of a lease may be told right after its grant. @returns what stops it */
  expect(): () => void {
    this.#expected++;
    this.#listen();
    return () => void this.#expected--;
  }

  /** @returns what stops it */
  watch({ resource, fencingToken }: HeldLock, { onExpired, onTaken }: LeaseWatcher): () => void {
    const watcher = { resource, fencingToken, onExpired, onTaken };
    const watchers = this.#watchers.get(resource) ?? new Set();
    this.#watchers.set(resource, watchers.add(watcher));
    this.#listen();
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(resource) === watchers) this.#watchers.delete(resource);
    };
  }

  #listen(): void {
    if (this.#subscriptions.some((subscription) => !subscription.isClosed())) return;
    if (this.#connection.isClosed() || this.#connection.isDraining()) return;
    // An error, such as a missing permission, leaves it to the refreshes to tell.
    this.#subscriptions = [
      this.#connection.subscribe(eventSubject(lockContract.name, 'lost'), {
        callback: (error, message) => {
          if (error === null && this.#isNeeded()) this.#lost(message);
        },
      }),
      this.#connection.subscribe(eventSubject(lockContract.name, lockContract.expiryEvent), {
        callback: (error, message) => {
          if (error === null && this.#isNeeded()) this.#expired(message);
        },
      }),
    ];
  }

  #isNeeded(): boolean {
    if (this.#watchers.size + this.#expected > 0) return true;
    const subscriptions = this.#subscriptions;
    this.#subscriptions = [];
    for (const subscription of subscriptions) subscription.unsubscribe();
    return false;
  }

  #lost(message: Msg): void {
    const lost = decode(LeaseLost, message.data);
    if (!lost.ok) return;
    const { cause, entity_id: resource, fencing_token: token, operator_id: operatorId, reason } = lost.value;
    const loss: LeaseLoss =
      cause === 'broken'
        ? { cause: 'broken', reason: `an operator broke it: ${reason}`, details: { reason, operatorId } }
        : { cause: 'taken', reason: `the lock manager took it back: ${reason}`, details: { reason } };
    for (const watcher of this.#of(resource, token)) watcher.onTaken(loss);
  }

  #expired(message: Msg): void {
    // A busy lock manager speaks of many locks: only what is said of our own is decoded.
    const about = parseSubject(message.headers?.get('Nats-Subject') ?? '');
    if (about?.kind !== 'entity' || !this.#watchers.has(about.entityId)) return;
    const expired = decode(Expired, message.data);
    if (!expired.ok) return;
    const { entity_version: version, state } = expired.value;
    for (const watcher of this.#of(about.entityId, state.fencing_token)) watcher.onExpired(version);
  }

  #of(resource: string, token: number): Watcher[] {
    return [...(this.#watchers.get(resource) ?? [])].filter(({ fencingToken }) => fencingToken === token);
  }
}
