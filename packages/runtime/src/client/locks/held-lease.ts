import { MeshError } from '../../errors.ts';
import type { Grant } from './acquire-lock.ts';
import { KeptLock, type KeeperPorts } from './kept-lock.ts';
import type { LockCommands } from './lock-commands.ts';
import { leaseLost } from './lock-errors.ts';
import type { ResolvedLockOptions } from './options.ts';
import type { HeldLock, Lease, LeaseLoss } from './types.ts';

const RELEASED: LeaseLoss = { cause: 'released', reason: 'its holder released it' };

/** Locks that are lost together: the lease lasts as long as the one that ends first. */
export class HeldLease implements Lease {
  readonly ownerId: string;
  readonly #options: ResolvedLockOptions;
  readonly #commands: LockCommands;
  readonly #ports: KeeperPorts;
  readonly #onEnd: (lease: HeldLease) => void;
  readonly #locks = new Map<string, KeptLock>();
  readonly #ended = new AbortController();
  #loss: LeaseLoss | undefined;
  #releasing: Promise<void> | undefined;

  constructor(
    options: ResolvedLockOptions,
    commands: LockCommands,
    ports: KeeperPorts,
    onEnd: (lease: HeldLease) => void,
  ) {
    this.ownerId = options.ownerId;
    this.#options = options;
    this.#commands = commands;
    this.#ports = ports;
    this.#onEnd = onEnd;
  }

  /** From now on this lock is kept, and its loss is that of the lease. */
  add(grant: Grant): void {
    const lock = new KeptLock(grant, this.#options, this.#ports, ({ resource }, loss) => this.#end(resource, loss));
    this.#locks.set(grant.resource, lock);
    if (this.#loss !== undefined) lock.lose(RELEASED);
  }

  get resource(): string {
    return this.#options.resources[0] as string;
  }

  get fencingToken(): number {
    return this.fencingTokenOf(this.resource);
  }

  get leases(): readonly HeldLock[] {
    return this.#options.resources.map((resource) => ({ resource, fencingToken: this.fencingTokenOf(resource) }));
  }

  get signal(): AbortSignal {
    this.remainingMs();
    return this.#ended.signal;
  }

  /** Why it is not held, as of now. */
  get loss(): LeaseLoss | undefined {
    this.remainingMs();
    return this.#loss;
  }

  fencingTokenOf(resource: string): number {
    const lock = this.#locks.get(resource);
    if (lock !== undefined) return lock.fencingToken;
    throw new MeshError({
      code: 'invalid_options',
      message: `this lease is not of ${JSON.stringify(resource)}: expected one of ${JSON.stringify(this.#options.resources)}`,
      details: { resource },
    });
  }

  remainingMs(): number {
    const left = Math.min(...[...this.#locks.values()].map((lock) => lock.remainingMs()));
    return this.#loss === undefined ? left : 0;
  }

  throwIfLost(): void {
    this.signal.throwIfAborted();
  }

  /** It is lost for that reason, unless it is already. */
  lose(loss: LeaseLoss): void {
    this.#end(this.resource, loss);
  }

  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #release(): Promise<void> {
    this.lose(RELEASED);
    // After a loss, too: what a refresh has extended, without an answer in time, is in the way of others.
    const locks = [...this.#locks.values()].filter(({ loss }) => loss?.cause !== 'taken' && loss?.cause !== 'broken');
    await Promise.all(
      locks.map(({ resource, fencingToken }) => this.#commands.release(resource, this.ownerId, fencingToken)),
    );
  }

  #end(resource: string, loss: LeaseLoss): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss;
    // The others need not be kept any longer; to give them back is up to `release`, as work may still go on.
    for (const lock of this.#locks.values()) lock.lose(RELEASED);
    this.#onEnd(this);
    this.#ended.abort(leaseLost(resource, loss));
  }
}
