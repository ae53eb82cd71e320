import type { Clock } from '../../clock.ts';
import { afterRefresh, afterTime, granted, remainingMs, type LeaseState, type RefreshAnswer } from './lease-term.ts';
import type { Grant } from './acquire-lock.ts';
import type { LeaseWatcher } from './lease-ends.ts';
import type { LockCommands, RefreshReply } from './lock-commands.ts';
import type { HeldLock, LeaseLoss } from './types.ts';

/** A refresh with all its tries takes at most this part of the lease, so that the next counts from a later moment. */
const REFRESH_PART = 1 / 6;
/** Shortest time for a refresh with all its tries, in milliseconds. */
const MIN_REFRESH_MS = 500;
/** Pause after a refresh that could not be sent, in milliseconds. */
const RETRY_PAUSE_MS = 50;

const EXPIRED: LeaseLoss = { cause: 'expired', reason: 'the lock manager says that its time is over' };

/** What keeping a lock needs of the world. */
export interface KeeperPorts {
  clock: Clock;
  commands: Pick<LockCommands, 'refresh'>;
  isConnected(): boolean;
  /** Tells of the end of this very lease, as events do; returns what stops that. */
  watchEnd(lock: HeldLock, watcher: LeaseWatcher): () => void;
}

/**
 * One lock, refreshed until it is lost or stopped.
 *
 * An event that says `expired` can be void: the server tells of the end of a lease that a refresh has just replaced. It counts
 * once no refresh is under way, and if its version is not below the last acknowledged one.
 *
 * Two loops: one refreshes, the other watches the end, as a refresh may be under way then. The state is only ever moved
 * by the functions of `lease-term.ts`, so a lock that is lost stays lost, whatever is answered later.
 */
export class KeptLock implements HeldLock {
  readonly resource: string;
  readonly fencingToken: number;
  readonly #ownerId: string;
  readonly #ttlMs: number;
  readonly #ports: KeeperPorts;
  readonly #onLost: (lock: KeptLock, loss: LeaseLoss) => void;
  readonly #ended = new AbortController();
  readonly #stopWatching: () => void;
  #state: LeaseState;
  /** Of the lock at the last acknowledged grant or refresh. */
  #version: number;
  /** The highest version whose lease is said to have expired. */
  #expired = 0;
  #isRefreshing = false;

  constructor(
    grant: Grant,
    { ownerId, ttlMs }: { ownerId: string; ttlMs: number },
    ports: KeeperPorts,
    onLost: (lock: KeptLock, loss: LeaseLoss) => void,
  ) {
    this.resource = grant.resource;
    this.fencingToken = grant.fencingToken;
    this.#ownerId = ownerId;
    this.#ttlMs = ttlMs;
    this.#ports = ports;
    this.#onLost = onLost;
    this.#state = granted(grant.term);
    this.#version = grant.version;
    this.#stopWatching = ports.watchEnd(this, {
      onTaken: (loss) => this.lose(loss),
      onExpired: (version) => {
        this.#expired = Math.max(this.#expired, version);
        if (!this.#isRefreshing) this.#endIfExpired();
      },
    });
    void this.#watchTime();
    void this.#refresh();
  }

  /** As of now; 0 when it is lost. */
  remainingMs(): number {
    const now = this.#ports.clock.monotonic();
    this.#become(afterTime(this.#state, now, this.#timeOver()));
    return remainingMs(this.#state, now);
  }

  /** Undefined while it is held, as of the last look. */
  get loss(): LeaseLoss | undefined {
    return this.#state.kind === 'lost' ? this.#state.loss : undefined;
  }

  /** It is lost for that reason, unless it is already. */
  lose(loss: LeaseLoss): void {
    if (this.#state.kind === 'held') this.#become({ kind: 'lost', loss });
  }

  #become(next: LeaseState): void {
    const before = this.#state;
    this.#state = next;
    if (before.kind === 'lost' || next.kind === 'held') return;
    this.#ended.abort();
    this.#stopWatching();
    this.#onLost(this, next.loss);
  }

  async #watchTime(): Promise<void> {
    for (;;) {
      const left = this.remainingMs();
      if (left === 0) return;
      await this.#ports.clock.sleep(left, this.#ended.signal);
    }
  }

  async #refresh(): Promise<void> {
    const { clock } = this.#ports;
    while (this.#state.kind === 'held') {
      await clock.sleep(Math.max(0, this.#state.refreshAt - clock.monotonic()), this.#ended.signal);
      const left = this.remainingMs();
      if (left === 0) return;
      this.#isRefreshing = true;
      const answer = await this.#ask(left);
      this.#isRefreshing = false;
      this.#become(afterRefresh(this.#state, answer, clock.monotonic(), this.#timeOver()));
      this.#endIfExpired();
      if (answer.kind === 'unanswered') await clock.sleep(RETRY_PAUSE_MS, this.#ended.signal);
    }
  }

  #endIfExpired(): void {
    if (this.#expired >= this.#version) this.lose(EXPIRED);
  }

  async #ask(left: number): Promise<RefreshAnswer> {
    const { clock, commands } = this.#ports;
    const sentAt = clock.monotonic();
    const timeoutMs = Math.min(left, Math.max(MIN_REFRESH_MS, this.#ttlMs * REFRESH_PART));
    let reply: RefreshReply;
    try {
      reply = await commands.refresh(this, this.#ownerId, this.#ttlMs, timeoutMs);
    } catch {
      // Whatever it was, the lease is still held until its time is over.
      return { kind: 'unanswered' };
    }
    if (reply.kind === 'extended') {
      this.#version = Math.max(this.#version, reply.version);
      return { kind: 'extended', sentAt, durationMs: this.#ttlMs };
    }
    const { code, reason, current_owner_id: currentOwnerId } = reply.denied;
    const cause = code === 'not_holder' ? 'taken' : 'refused';
    return { kind: 'ended', loss: { cause, reason, details: { code, currentOwnerId } } };
  }

  #timeOver(): LeaseLoss {
    return this.#ports.isConnected()
      ? { cause: 'expired', reason: 'its time was over before a refresh was acknowledged' }
      : { cause: 'disconnected', reason: 'its time was over while there was no connection to NATS' };
  }
}
