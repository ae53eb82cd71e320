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
import { commandKey, inTime, ownerKey, readWaitList, waitersIn, type Place } from './wait-list.ts';

/** Waiting commands in the memory of one replica, about 1 KiB each; further ones are answered at once. */
const MAX_WAITING = 100_000;
const POLL_MS = 1_000;
/** Locks that are looked at together. */
const LOOKS_AT_ONCE = 16;
/** Before the server is asked again that did not answer, in milliseconds. */
const RETRY_MS = 250;
/** A lease that is overdue by so much, in milliseconds, has lost its schedule. */
const OVERDUE_MS = 2_100;
/** Owners that are remembered by the digests in their places. */
const MAX_NAMES = 100_000;

type Acquire = { owner_id: string; ttl_ms: number; take_up_ms?: number };

/** A command that waits, in this replica's memory. */
interface Waiter {
  /** Its latest copy: that of a retry has the inbox that is listened to. */
  command: RefusedCommand;
  readonly data: Acquire;
  readonly until: number;
  /** As its place bears them. */
  readonly key: string;
  /** From now on it has a place, or its wait is over. */
  isPlaced: boolean;
  /** What it is answered when it has no place. */
  otherwise: 'held' | 'queue_full';
  readonly answered: AbortController;
}

/** The waiters of one lock, by the ids of their commands. */
interface Line {
  readonly waiters: Map<string, Waiter>;
  isServed: boolean;
  /** What has come up while it was served. */
  next: Look | undefined;
}

interface Look {
  /** The lock as it stands; undefined: it has to be read. */
  seen?: SeenEntity | undefined;
  /** Also for a waiter that is not the first. */
  mayPass: boolean;
}

export class Waiting implements Companion {
  readonly #host: AgentHost;
  readonly #stopping = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #lines = new Map<string, Line>();
  #size = 0;
  #stopHearing: (() => void) | undefined;
  readonly #names = new Map<string, string>();

  constructor(host: AgentHost) {
    this.#host = host;
    host.hear(['queued'], (_event, _lock, { owner_id: owner }) => this.#rememberName(owner as string));
  }

  defers(command: RefusedCommand, code: string, remembered?: SeenEntity): boolean {
    const { action, commandId, entityId, expectedVersion, since } = command;
    const data = command.data as JsonObject & Acquire;
    const waitMs = action === 'acquire' ? Number(data['wait_ms'] ?? 0) : 0;
    // Whoever expects a version cannot mean the one after the wait.
    if (code !== 'held' || waitMs === 0 || expectedVersion !== undefined) return false;
    if (this.#stopping.signal.aborted) return this.#sendBack(command);
    const line = this.#lines.get(entityId) ?? { waiters: new Map<string, Waiter>(), isServed: false, next: undefined };
    const known = line.waiters.get(commandId);
    if (known !== undefined) {
      known.command = command;
      return true;
    }
    if (this.#size >= MAX_WAITING) return false;
    // Where others wait, a newcomer has to wait as well. Otherwise this memory may be old, and the lock free.
    if (remembered !== undefined && waitersIn(inTime(readWaitList(remembered.notes), since)).length === 0) return false;
    const waiter: Waiter = {
      command,
      data: { owner_id: data.owner_id, ttl_ms: data.ttl_ms, ...(data.take_up_ms && { take_up_ms: data.take_up_ms }) },
      until: since + waitMs,
      key: keyOf({ owner: ownerKey(data.owner_id), command: commandKey(commandId) }),
      isPlaced: false,
      otherwise: 'held',
      answered: new AbortController(),
    };
    line.waiters.set(commandId, waiter);
    this.#lines.set(entityId, line);
    this.#rememberName(data.owner_id);
    this.#size++;
    this.#listen();
    this.#do(() => this.#begin(waiter));
    void this.#endInTime(waiter);
    return true;
  }

  committed(entityId: string, event: string, seen: SeenEntity, data: JsonObject = {}): void {
    if (event === 'released' && data['cause'] !== undefined) {
      const { fencing_token: token } = seen.state as LockState;
      this.#host.notify('lost', { entity_id: entityId, fencing_token: token, ...data });
    }
    this.#look(entityId, seen);
  }

  view(_entityId: string, { notes, state }: SeenEntity, query: 'get' | 'list'): LockView {
    const lock = state as LockState | null;
    const now = this.#host.serverNow();
    const waiting = waitersIn(inTime(readWaitList(notes), now));
    const view = {
      remaining_ms: isHeld(lock) ? Math.max(0, Date.parse(lock.expires_at) - now) : 0,
      waiters: waiting.length,
    };
    if (query === 'list') return view;
    // Of owners who began to wait before this replica was there, it does not know the names.
    const queue = waiting.flatMap(({ owner, until }, index) => {
      const name = this.#names.get(owner);
      return name === undefined ? [] : [{ owner_id: name, position: index + 1, until: new Date(until).toISOString() }];
    });
    return { ...view, queue };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#tasks);
    const waiters = [...this.#lines.values()].flatMap((line) => [...line.waiters.values()]);
    for (const waiter of waiters) {
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

  /** Has a command sent again, to another replica: this one stops, and the place stays. Nobody else is told, for nothing is refused. */
  #sendBack(command: RefusedCommand): true {
    const { action, entityId } = command;
    const refusal = { code: 'unavailable', reason: 'this lock manager stops: send the command again, its place stays' };
    const payload = JSON.stringify({ entity_id: entityId, action, ...refusal });
    void this.#host.answer(command, { kind: 'unavailable', event: 'rejected', payload, ...refusal });
    return true;
  }

  /** Hears of locks and looks at them while anybody waits. */
  #listen(): void {
    if (this.#stopHearing !== undefined) return;
    this.#stopHearing = this.#host.hear(['released', 'expired', 'cancelled', 'left'], (_event, lock) =>
      this.#look(lock),
    );
    this.#do(() => this.#poll());
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#size > 0 && !signal.aborted) {
      await this.#host.sleep(POLL_MS, signal);
      const locks = [...this.#lines.keys()];
      for (let at = 0; at < locks.length && !signal.aborted; at += LOOKS_AT_ONCE) {
        await Promise.all(locks.slice(at, at + LOOKS_AT_ONCE).map((lock) => this.#serve(lock, { mayPass: true })));
      }
    }
    this.#stopHearing?.();
    this.#stopHearing = undefined;
  }

  /** Gives a waiter its place. A copy of the command may have got it before: then nothing is written. */
  async #begin(waiter: Waiter): Promise<void> {
    const { command, data, until } = waiter;
    const place = { owner_id: data.owner_id, command: commandKey(command.commandId), since: command.since, until };
    const outcome = await this.#persist(waiter, 'wait', place);
    if (outcome.kind === 'denied' && outcome.code === 'queue_full') waiter.otherwise = 'queue_full';
    waiter.isPlaced = true;
    // As a rule another owner holds the lock, and nothing is to be done yet.
    const holder =
      outcome.kind === 'committed' ? (JSON.parse(outcome.payload) as { state: LockState }).state.owner_id : null;
    if (holder === null || holder === data.owner_id) await this.#serve(command.entityId, { mayPass: false });
  }

  async #endInTime(waiter: Waiter): Promise<void> {
    const { answered, until } = waiter;
    await this.#host.sleep(Math.max(0, until - this.#host.serverNow()), answered.signal);
    if (!answered.signal.aborted) this.#do(() => this.#leave(waiter));
  }

  /** Takes the place of a waiter away: no replica can grant it the lock any more. */
  async #leave(waiter: Waiter): Promise<void> {
    const { command, data } = waiter;
    await this.#persist(waiter, 'leave', { owner_id: data.owner_id, command: commandKey(command.commandId) });
    await this.#serve(command.entityId, { mayPass: false });
  }

  /**
   * A command of the lock manager for the sake of a waiter. Its id is made of the waiter's: whichever replica sends it, it commits
   * once. It is tried until the server answers, or this replica stops.
   */
  async #persist({ answered, command }: Waiter, action: 'wait' | 'leave', data: JsonObject): Promise<StoreOutcome> {
    const id = `${action}.${digestOf(command.commandId)}`;
    for (;;) {
      const outcome = await this.#host.execute(command, action, data, id);
      const isOver = answered.signal.aborted || this.#stopping.signal.aborted;
      if (outcome.kind !== 'unavailable' || isOver) return outcome;
      await this.#host.sleep(RETRY_MS, this.#stopping.signal);
    }
  }

  #look(entityId: string, seen?: SeenEntity): void {
    if (this.#lines.has(entityId)) this.#do(() => this.#serve(entityId, { seen, mayPass: false }));
  }

  /** Does what is to be done for the waiters of a lock: one look after the other. */
  async #serve(entityId: string, look: Look): Promise<void> {
    const line = this.#lines.get(entityId);
    if (line === undefined) return;
    if (line.isServed) {
      line.next = { seen: look.seen, mayPass: look.mayPass || line.next?.mayPass === true };
      return;
    }
    line.isServed = true;
    try {
      for (let next: Look | undefined = look; next !== undefined && line.waiters.size > 0; next = line.next) {
        line.next = undefined;
        const seen = next.seen ?? (await this.#host.look(entityId));
        if (seen !== undefined) await this.#serveOnce(line, seen, next.mayPass);
      }
    } finally {
      line.isServed = false;
    }
  }

  async #serveOnce({ waiters }: Line, seen: SeenEntity, mayPass: boolean): Promise<void> {
    const lock = seen.state as LockState | null;
    const now = this.#host.serverNow();
    const places = new Map(readWaitList(seen.notes).map((place) => [keyOf(place), place]));
    const mine = new Map(
      [...waiters.values()].filter(({ isPlaced }) => isPlaced).map((waiter) => [waiter.key, waiter]),
    );
    const over: Waiter[] = [];
    for (const waiter of mine.values()) {
      const place = places.get(waiter.key);
      const isHolder = lock !== null && lock.owner_id === waiter.data.owner_id;
      if (place === undefined || place.status === 'ended' || isHolder) over.push(waiter);
      // A place that was taken over: the wait began before this replica knew of it.
      else if (place.until <= now) this.#do(() => this.#leave(waiter));
    }
    // The owner has the lock, or the place is gone: `grant` says what has become of the command.
    await Promise.all(over.map((waiter) => this.#decide(waiter)));
    const waiting = waitersIn(inTime([...places.values()], now));
    const first = waiting.find((place) => mine.has(keyOf(place)));
    const [next] = waiting;
    if (first === undefined || next === undefined) return;
    const freeMs = lock === null ? 0 : now - Date.parse(lock.expires_at);
    // The agent ends an overdue lease as soon as a command meets it.
    if (isHeld(lock) && freeMs < OVERDUE_MS) return;
    const isLongFree = mayPass && freeMs >= LOCK_LIMITS.passOverMs + (isHeld(lock) ? OVERDUE_MS : 0);
    const waiter = first === next || isLongFree ? mine.get(keyOf(first)) : undefined;
    if (waiter !== undefined) await this.#decide(waiter);
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
    // It may have a place all the same, for its own lease is over, or it was granted long ago.
    if (outcome.kind === 'rejected' || outcome.kind === 'decided_before') this.#do(() => this.#leave(waiter));
    // Not waited for: an inbox that somebody listens to says nothing.
    if (outcome.kind === 'committed') void this.#withdrawUnless(taken, waiter, outcome.payload);
  }

  /** Takes a grant back that nobody is there to take. */
  async #withdrawUnless(taken: Promise<boolean>, { command, data }: Waiter, payload: string): Promise<void> {
    const { state } = JSON.parse(payload) as { state: LockState };
    const isNew = Date.parse(state.expires_at) - Date.parse(state.acquired_at) === leaseMs(data, true);
    try {
      if (!isNew || (await taken)) return;
      const lease = { owner_id: data.owner_id, fencing_token: state.fencing_token };
      await this.#host.execute(command, 'withdraw', lease, `withdraw.${digestOf(command.commandId)}`);
    } catch (error) {
      this.#host.onFault(error);
    }
  }

  #forget({ answered, command: { commandId, entityId } }: Waiter): void {
    answered.abort();
    const waiters = this.#lines.get(entityId)?.waiters;
    if (waiters?.delete(commandId) === true) this.#size--;
    if (waiters?.size === 0) this.#lines.delete(entityId);
  }

  #rememberName(owner: string): void {
    const key = ownerKey(owner);
    this.#names.delete(key);
    this.#names.set(key, owner);
    if (this.#names.size > MAX_NAMES) this.#names.delete(this.#names.keys().next().value as string);
  }
}

function keyOf({ owner, command }: Pick<Place, 'owner' | 'command'>): string {
  return `${owner}.${command}`;
}
