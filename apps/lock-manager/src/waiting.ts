/**
 * Waiting for a lock: an `acquire` with `wait_ms` that finds the lock held is answered later.
 *
 * 1. The runtime asks whether a command that was refused `held` is answered later (`defers`). Then it is kept here, in the memory of
 *    this replica, with the inbox of its sender.
 * 2. It gets a place among those who wait (`wait`). Places stand in the lock's notes, under the lock's compare-and-set: so the order
 *    is the same for all replicas, and outlives them.
 * 3. When the lock is free, the command is decided once more, under its own id (`grant`). It commits if its place is the first, or if
 *    the lock has been free for 2 s: then nobody serves those before it. The replica that commits it answers it.
 * 4. Or the wait ends: its time is over (`leave` takes the place away), somebody sends `cancel`, or the same owner asks with another
 *    command. Then `grant` finds no place, and its refusal is the answer.
 *
 * A replica serves its own waiters. It looks at their locks when it has committed on one, when it hears that one came free, and once
 * a second. If it dies, the places stay, and the senders send their commands again. A command gets a place once: its copy at
 * another replica finds the place and takes it over, or learns that the wait is over.
 *
 * Invariants
 * - A waiting command is answered with what `grant` says of it, and nothing else. So none that has committed is told, or announced,
 *   to be refused; and none that was refused here can be granted by another replica.
 * - A grant costs the same number of messages however many wait: each replica tries for its first waiter alone.
 */
import { LOCK_LIMITS, type JsonObject, type LockState, type LockView } from '@meshforge/protocol';
import {
  digestOf,
  type AgentHost,
  type Companion,
  type RefusedCommand,
  type SeenEntity,
  type StoreOutcome,
} from '@meshforge/runtime';
import { isHeld } from './denied.ts';
import { leaseMs, WAITS } from './rules.ts';
import { commandKey, inTime, keyOf, ownerKey, readWaitList, waitersIn } from './wait-list.ts';

/** Waiting commands in the memory of one replica, about 1 KiB each; further ones are answered at once. */
const MAX_WAITING = 100_000;
const POLL_MS = 1_000;
/** Locks that a poll looks at together. */
const LOOKS_AT_ONCE = 16;
/** Before the server is asked again that did not answer, in milliseconds. */
const RETRY_MS = 250;
/** A lease that is overdue by so much, in milliseconds, is ended by the agent as soon as a command meets it. */
const OVERDUE_MS = 2_100;
/** Owners whose names are known by the digests in their places. */
const MAX_NAMES = 100_000;

type Acquire = { owner_id: string; ttl_ms: number; take_up_ms?: number };

/** A command that waits, in this replica's memory. */
interface Waiter {
  /** Its latest copy: that of a retry has the inbox that is listened to. */
  command: RefusedCommand;
  readonly data: Acquire;
  /** Digests of owner and command, as its place bears them. */
  readonly key: string;
  /** From now on it has a place, or its wait is over. */
  isPlaced: boolean;
  /** What it is answered when it has no place. */
  otherwise: 'held' | 'queue_full';
  readonly answered: AbortController;
}

export class Waiting implements Companion {
  readonly #host: AgentHost;
  readonly #stopping = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  /** Version of each lock with waiters when it was last looked at. */
  readonly #seen = new Map<string, number>();
  /** By lock, then by key. */
  readonly #locks = new Map<string, Map<string, Waiter>>();
  #size = 0;
  #stopHearing: (() => void) | undefined;
  readonly #names = new Map<string, string>();

  constructor(host: AgentHost) {
    this.#host = host;
    host.hear(['queued'], (_event, { data }) => this.#rememberName(data?.['owner_id'] as string));
  }

  defers(command: RefusedCommand, code: string, remembered?: SeenEntity): boolean {
    const { action, commandId, entityId, expectedVersion, since } = command;
    const { owner_id, ttl_ms, take_up_ms, wait_ms: waitMs = 0 } = command.data as Acquire & { wait_ms?: number };
    // Whoever expects a version cannot mean the one after the wait.
    if (action !== 'acquire' || code !== 'held' || waitMs === 0 || expectedVersion !== undefined) return false;
    if (this.#stopping.signal.aborted) return this.#sendBack(command);
    const waiters = this.#locks.get(entityId) ?? new Map<string, Waiter>();
    const key = keyOf({ owner: ownerKey(owner_id), command: commandKey(commandId) });
    const known = waiters.get(key);
    if (known !== undefined) known.command = command;
    if (known !== undefined) return true;
    if (this.#size >= MAX_WAITING) return false;
    // Where others wait, a newcomer has to wait as well. Otherwise this memory may be old, and the lock free.
    if (remembered !== undefined && waitersIn(inTime(readWaitList(remembered.notes), since)).length === 0) return false;
    const data = { owner_id, ttl_ms, ...(take_up_ms === undefined ? {} : { take_up_ms }) };
    const waiter: Waiter = {
      command,
      data,
      key,
      isPlaced: false,
      otherwise: 'held',
      answered: new AbortController(),
    };
    this.#locks.set(entityId, waiters.set(key, waiter));
    this.#size++;
    this.#rememberName(owner_id);
    this.#listen();
    this.#do(() => this.#begin(waiter, since, since + waitMs));
    void this.#endInTime(waiter, since + waitMs);
    return true;
  }

  committed(entityId: string, event: string, seen: SeenEntity, data: JsonObject = {}): void {
    if (event === 'released' && data['cause'] !== undefined) {
      const { fencing_token: token } = seen.state as LockState;
      this.#host.notify('lost', { entity_id: entityId, fencing_token: token, ...data });
    }
    if (this.#locks.has(entityId)) this.#do(() => this.#serve(entityId, seen));
  }

  view(_entityId: string, { notes, state }: SeenEntity, query: 'get' | 'list'): LockView {
    const lock = state as LockState | null;
    const now = this.#host.serverNow();
    const waiting = waitersIn(inTime(readWaitList(notes), now));
    const left = isHeld(lock) ? Math.max(0, Date.parse(lock.expires_at) - now) : 0;
    const view = { remaining_ms: left, waiters: waiting.length };
    if (query === 'list') return view;
    // This replica does not know the names of owners who began to wait before it was there.
    const queue = waiting.flatMap(({ owner, until }, index) => {
      const name = this.#names.get(owner);
      return name === undefined ? [] : [{ owner_id: name, position: index + 1, until: new Date(until).toISOString() }];
    });
    return { ...view, queue };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#tasks);
    for (const waiter of [...this.#locks.values()].flatMap((waiters) => [...waiters.values()])) {
      this.#forget(waiter);
      this.#sendBack(waiter.command);
    }
  }

  #do(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch((error: unknown) => this.#host.onFault(error))
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Has a command sent again, to another replica: this one stops, and the place stays. */
  #sendBack(command: RefusedCommand): true {
    const { action, entityId } = command;
    const refusal = { code: 'unavailable', reason: 'this lock manager stops: send the command again, its place stays' };
    const payload = JSON.stringify({ entity_id: entityId, action, ...refusal });
    void this.#host.answer(command, { kind: 'unavailable', event: 'rejected', payload, ...refusal });
    return true;
  }

  /** Hears of locks, and looks at those of its waiters, while there are any. */
  #listen(): void {
    if (this.#stopHearing !== undefined) return;
    this.#stopHearing = this.#host.hear(
      ['released', 'expired', 'cancelled', 'left'],
      (event, { entity_id: lock, ...told }) => {
        // Of its own commits this replica knows.
        const isNews = event !== 'released' || told.entity_version > (this.#seen.get(lock) ?? 0);
        if (isNews && this.#locks.has(lock)) this.#do(() => this.#serve(lock));
      },
    );
    this.#do(() => this.#poll());
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#size > 0 && !signal.aborted) {
      await this.#host.sleep(POLL_MS, signal);
      const locks = [...this.#locks.keys()];
      for (let at = 0; at < locks.length && !signal.aborted; at += LOOKS_AT_ONCE) {
        await Promise.all(locks.slice(at, at + LOOKS_AT_ONCE).map((lock) => this.#serve(lock, undefined, true)));
      }
    }
    this.#stopHearing?.();
    this.#stopHearing = undefined;
  }

  /** Gives a waiter its place. A copy of the command may have got it before: then nothing is written. */
  async #begin(waiter: Waiter, since: number, until: number): Promise<void> {
    const { command, data } = waiter;
    const outcome = await this.#persist(waiter, 'wait', { since, until });
    if (outcome.kind === 'denied' && outcome.code === 'queue_full') waiter.otherwise = 'queue_full';
    waiter.isPlaced = true;
    // As a rule another owner holds the lock, and nothing is to be done yet.
    const holder = outcome.kind === 'committed' ? stateIn(outcome.payload).owner_id : null;
    if (holder === null || holder === data.owner_id) await this.#serve(command.entityId);
  }

  async #endInTime(waiter: Waiter, until: number): Promise<void> {
    const { signal } = waiter.answered;
    await this.#host.sleep(Math.max(0, until - this.#host.serverNow()), signal);
    if (!signal.aborted) this.#do(() => this.#leave(waiter));
  }

  /** Takes the place of a waiter away: no replica can grant it the lock any more. */
  async #leave(waiter: Waiter): Promise<void> {
    await this.#persist(waiter, 'leave');
    await this.#serve(waiter.command.entityId);
  }

  /**
   * Sends a command of the lock manager for the sake of a waiter, until the server answers. Its id is made of the waiter's: whichever
   * replica sends it, it commits once.
   */
  async #persist({ answered, command, data }: Waiter, action: 'wait' | 'leave', more = {}): Promise<StoreOutcome> {
    const { commandId } = command;
    const place = { owner_id: data.owner_id, command: commandKey(commandId), ...more };
    for (;;) {
      const outcome = await this.#host.execute(command, action, place, `${action}.${digestOf(commandId)}`);
      const isOver = answered.signal.aborted || this.#stopping.signal.aborted;
      if (outcome.kind !== 'unavailable' || isOver) return outcome;
      await this.#host.sleep(RETRY_MS, this.#stopping.signal);
    }
  }

  /**
   * Does what is to be done for the waiters of a lock.
   * @param seen the lock as it stands; default: it is read @param mayPass also for a waiter that is not the first
   */
  async #serve(entityId: string, seen?: SeenEntity, mayPass = false): Promise<void> {
    const { notes, state, version = 0 } = seen ?? (await this.#host.look(entityId)) ?? {};
    if (notes === undefined || !this.#locks.has(entityId)) return;
    this.#seen.set(entityId, version);
    const lock = state as LockState | null;
    const now = this.#host.serverNow();
    const mine = new Map([...(this.#locks.get(entityId) ?? [])].filter(([, { isPlaced }]) => isPlaced));
    const places = readWaitList(notes);
    const placeOf = new Map(places.map((place) => [keyOf(place), place]));
    const over = [...mine.values()].filter(({ data, key }) => {
      const isGone = (placeOf.get(key)?.status ?? 'ended') === 'ended';
      return isGone || lock?.owner_id === data.owner_id;
    });
    // A copy that took a place over waits no longer than the first one.
    for (const [key, waiter] of mine)
      if ((placeOf.get(key)?.until ?? now + 1) <= now) this.#do(() => this.#leave(waiter));
    // The owner has the lock, or the place is gone: `grant` says what has become of the command.
    await Promise.all(over.map((waiter) => this.#decide(waiter)));
    const waiting = waitersIn(inTime(places, now));
    const first = waiting.find((place) => mine.has(keyOf(place)));
    if (lock === null || first === undefined) return;
    const freeMs = now - Date.parse(lock.expires_at) - (isHeld(lock) ? OVERDUE_MS : 0);
    if (isHeld(lock) && freeMs < 0) return;
    const isTurn = first === waiting[0] || (mayPass && freeMs >= LOCK_LIMITS.passOverMs);
    if (isTurn) await this.#decide(mine.get(keyOf(first)) as Waiter);
  }

  /** Decides a waiting command once more, and answers it unless it has to wait on. */
  async #decide(waiter: Waiter): Promise<void> {
    const { command, data, otherwise } = waiter;
    const again = { ...data, command: commandKey(command.commandId), otherwise };
    const outcome = await this.#host.execute(command, 'grant', again);
    const isUndecided = outcome.kind === 'unavailable' || outcome.kind === 'abandoned' || outcome.kind === 'deferred';
    if (isUndecided || (outcome.kind === 'denied' && outcome.code === WAITS) || waiter.answered.signal.aborted) return;
    this.#forget(waiter);
    const taken = this.#host.answer(waiter.command, outcome);
    // It may have a place all the same: its own lease is over, or it was granted long ago.
    if (outcome.kind === 'rejected' || outcome.kind === 'decided_before') this.#do(() => this.#leave(waiter));
    // Not waited for: an inbox that somebody listens to says nothing.
    if (outcome.kind === 'committed') void this.#withdrawUnless(taken, waiter, stateIn(outcome.payload));
  }

  /** Takes a grant back that nobody is there to take. */
  async #withdrawUnless(taken: Promise<boolean>, { command, data }: Waiter, lock: LockState): Promise<void> {
    try {
      const isNew = Date.parse(lock.expires_at) - Date.parse(lock.acquired_at) === leaseMs(data, true);
      if (!isNew || (await taken)) return;
      const lease = { owner_id: data.owner_id, fencing_token: lock.fencing_token };
      await this.#host.execute(command, 'withdraw', lease, `withdraw.${digestOf(command.commandId)}`);
    } catch (error) {
      this.#host.onFault(error);
    }
  }

  #forget({ answered, command: { entityId }, key }: Waiter): void {
    answered.abort();
    const waiters = this.#locks.get(entityId);
    if (waiters?.delete(key) === true) this.#size--;
    if (waiters?.size !== 0) return;
    this.#locks.delete(entityId);
    this.#seen.delete(entityId);
  }

  #rememberName(owner: string): void {
    this.#names.set(ownerKey(owner), owner);
    if (this.#names.size > MAX_NAMES) this.#names.delete(this.#names.keys().next().value as string);
  }
}

function stateIn(payload: string): LockState {
  return (JSON.parse(payload) as { state: LockState }).state;
}
