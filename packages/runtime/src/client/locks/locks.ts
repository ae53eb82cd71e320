import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../../clock.ts';
import type { Mesh } from '../mesh.ts';
import { acquireLock } from './acquire-lock.ts';
import { HeldLease } from './held-lease.ts';
import type { KeeperPorts } from './kept-lock.ts';
import { LeaseEnds } from './lease-ends.ts';
import { LockCommands } from './lock-commands.ts';
import { resolveLockOptions, type ResolvedLockOptions } from './options.ts';
import type { Lease, LockOptions } from './types.ts';

/** The locks of one client. */
export class Locks {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #commands: LockCommands;
  readonly #ports: KeeperPorts;
  readonly #leases = new Set<HeldLease>();
  readonly #ends: LeaseEnds;
  #isConnected = true;
  #watchesConnection = false;

  constructor(mesh: Pick<Mesh, 'request'>, connection: NatsConnection, clock: Clock, timeoutMs: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#commands = new LockCommands(mesh, timeoutMs);
    this.#ends = new LeaseEnds(connection);
    this.#ports = {
      clock,
      commands: this.#commands,
      isConnected: () => this.#isConnected,
      watchEnd: (lock, watcher) => this.#ends.watch(lock, watcher),
    };
  }

  /** See `Mesh.acquire`. */
  async acquire(resource: string | readonly string[], options: LockOptions): Promise<Lease> {
    return await this.#acquire(resolveLockOptions(resource, options));
  }

  /** See `Mesh.lock`. */
  async lock<T>(
    resource: string | readonly string[],
    options: LockOptions,
    work: (lease: Lease) => T | Promise<T>,
  ): Promise<T> {
    const lease = await this.#acquire(resolveLockOptions(resource, options));
    try {
      const result = await work(lease);
      // What was done under a lease that did not last may have met another holder's work: that is no success.
      if (lease.loss?.cause !== 'released') lease.throwIfLost();
      return result;
    } finally {
      const released = lease.release();
      if (lease.loss?.cause === 'released') await released;
    }
  }

  /** Ends all leases: without a connection nothing keeps them. They come free when their time is over. */
  close(): void {
    for (const lease of this.#leases) lease.lose({ cause: 'disconnected', reason: 'the client was closed' });
  }

  /**
   * All or nothing. The locks are taken one after the other, in the same order by every client, so that none waits for one
   * that waits for it.
   */
  async #acquire(options: ResolvedLockOptions): Promise<HeldLease> {
    options.signal?.throwIfAborted();
    this.#watchConnection();
    const waitUntil = this.#clock.monotonic() + options.waitMs;
    const stopExpecting = this.#ends.expect();
    const lease = new HeldLease(options, this.#commands, this.#ports, (ended) => this.#leases.delete(ended));
    this.#leases.add(lease);
    const waiting = new AbortController();
    const abort = (event: Event): void => waiting.abort((event.target as AbortSignal).reason);
    const signals = [lease.signal, ...(options.signal === undefined ? [] : [options.signal])];
    for (const signal of signals) signal.addEventListener('abort', abort, { once: true });
    try {
      // By code unit, which no locale changes.
      for (const resource of [...options.resources].sort()) {
        const { ownerId, ownerIsNew, ttlMs } = options;
        const wanted = { resource, ownerId, ownerIsNew, ttlMs, waitUntil, signal: waiting.signal };
        lease.add(await acquireLock(this.#commands, this.#clock, wanted));
      }
      waiting.signal.throwIfAborted();
      lease.throwIfLost();
      return lease;
    } catch (error) {
      // Who gave up is told at once, everybody else when nothing is held any more.
      const gaveUp = waiting.signal.aborted;
      const released = lease.release();
      if (!gaveUp) await released;
      throw error;
    } finally {
      stopExpecting();
      for (const signal of signals) signal.removeEventListener('abort', abort);
    }
  }

  /** So that a lease which ends can say whether it was cut off. */
  #watchConnection(): void {
    if (this.#watchesConnection) return;
    this.#watchesConnection = true;
    void (async () => {
      for await (const { type } of this.#connection.status()) {
        if (type === 'disconnect') this.#isConnected = false;
        if (type === 'reconnect') this.#isConnected = true;
      }
      this.#isConnected = false;
    })();
  }
}
