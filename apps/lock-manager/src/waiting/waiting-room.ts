/**
 * Those who wait for a lock, and how they get it.
 *
 * Who comes first is decided by the compare-and-set of the lock alone: its notes hold the queue. What else it takes to serve
 * a waiter (the command, and the inbox that it shall be answered at) is held where every replica finds it. So whichever
 * replica sees a lock come free can decide the first waiter's own command once more, which now commits, and answer it.
 *
 * Invariants
 * - A held command is answered, and then forgotten; at worst twice, never not at all while a replica lives.
 * - Nobody is answered "held" while a replica could still grant them the lock: their place is taken away first, and without
 *   one a command that was held back commits no more.
 * - A grant costs the same number of messages however many wait.
 */
import type { JsonObject, LockState } from '@meshforge/protocol';
import type { AgentHost, Companion, HeldCommand, RefusedCommand, SeenEntity, StoreOutcome } from '@meshforge/runtime';
import { isHeld } from '../denied.ts';
import { internally, ownerOf, refused, takenNow, waitMsOf } from './held-acquire.ts';
import { keyOf, readQueue } from './queue.ts';
import { Rounds } from './rounds.ts';
import { viewOf } from './view.ts';

/** Commands held at once: each replica has them all in memory, about 1 KiB each. */
const MAX_HELD = 100_000;
/** Tries to get into a queue while the lock changes hands. */
const MAX_TRIES = 20;
const RETRY_MS = 100;
/** A command that has no place yet may be granted until so long before the end of its wait: clocks differ. */
const LAST_MOMENTS_MS = 1_000;
/** Another replica that was to act has so long before this one does it in its place. */
const OTHERS_MS = 300;
/** The runtime ends a lease this long after its time if the server did not. */
const LOST_MS = 10_500;

export class WaitingRoom implements Companion {
  readonly #host: AgentHost;
  readonly #stopping = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  /** Locks that are being handed over; true = once more after that. */
  readonly #handovers = new Map<string, boolean>();

  constructor(host: AgentHost) {
    this.#host = host;
    const rounds = new Rounds(host, {
      free: (entityId, entity) => this.#handOver(entityId, entity),
      lost: (command) => this.#ifHeld(command, (current) => this.#adopt(current)),
      over: (command) => this.#ifHeld(command, (current) => this.#end(current)),
    });
    this.#do(() => rounds.run(this.#stopping.signal));
  }

  holdsBack({ action, data, expectedVersion, ...command }: RefusedCommand, code: string): boolean {
    const waitMs = waitMsOf(action, data);
    // Whoever expects a version cannot mean the one after the wait.
    if (code !== 'held' || waitMs === 0 || expectedVersion !== undefined || this.#isStopping) return false;
    if (this.#host.held.size >= MAX_HELD) return false;
    const { commandId, entityId, headers, lease, reply, since } = command;
    const keeper = this.#host.replica;
    const held = { entityId, action, lease, data, commandId, headers, reply, since, until: since + waitMs, keeper };
    this.#do(() => this.#admit(held));
    return true;
  }

  committed(
    entityId: string,
    event: string,
    entity: SeenEntity,
    data: { owner_id?: string; cause?: string } = {},
  ): void {
    if (event === 'released' && data.cause !== undefined) {
      const { fencing_token: token } = entity.state as LockState;
      this.#host.notify('lost', { entity_id: entityId, fencing_token: token, ...data });
    }
    if (event === 'cancelled') {
      this.#do(async () => {
        const command = this.#waiter(entityId, keyOf(data.owner_id ?? ''));
        const found = command ?? (await this.#missing(entityId, keyOf(data.owner_id ?? '')));
        if (found !== undefined) this.#cancelled(found, 'cancelled by a command');
      });
    }
    if (entity.notes !== '' && !isHeld(entity.state as LockState | null)) this.#handOver(entityId, entity);
  }

  expired(entityId: string): void {
    const [first] = this.#host.held.of(entityId);
    if (first === undefined) return;
    if (first.keeper === this.#host.replica) this.#handOver(entityId);
    else {
      this.#do(async () => {
        await this.#host.sleep(OTHERS_MS, this.#stopping.signal);
        this.#handOver(entityId);
      });
    }
  }

  view(entityId: string, entity: SeenEntity, query: 'get' | 'list'): ReturnType<typeof viewOf> {
    return viewOf(entity, this.#host.serverNow(), query === 'get' ? this.#host.held.of(entityId) : undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#tasks);
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #do(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch((error: unknown) => this.#host.onFault(error))
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** News that a command was answered can be lost; what the server has counts. */
  #ifHeld(command: HeldCommand, see: (current: HeldCommand) => Promise<void> | void): void {
    this.#do(async () => {
      const current = this.#current(command);
      if (current !== undefined && (await this.#host.held.confirm(current))) await see(current);
    });
  }

  /** Takes a command in. An earlier one of the same owner gives way to it, and leaves it its place. */
  async #admit(command: HeldCommand): Promise<void> {
    const { held } = this.#host;
    const earlier = held.of(command.entityId).filter((other) => ownerOf(other) === ownerOf(command));
    // The same command again is a retry from another inbox: it waits where it waited, until it would have waited.
    const first = earlier.find(({ commandId }) => commandId === command.commandId);
    const kept = { ...command, since: first?.since ?? command.since, until: first?.until ?? command.until };
    if (!(await held.put(kept))) {
      await this.#host.answer(
        kept,
        refused(kept, 'unavailable', 'the wait could not be stored: send it again in a second'),
      );
      return;
    }
    await (first === undefined ? this.#settle(kept) : this.#endInTime(kept));
    // Their place is the later command's by now.
    const others = earlier.filter(({ commandId }) => commandId !== kept.commandId);
    for (const other of others) this.#ifHeld(other, (current) => this.#supersede(current));
  }

  /** Sees to a command that another replica has let fall. */
  async #adopt(command: HeldCommand): Promise<void> {
    const adopted = { ...command, keeper: this.#host.replica };
    if (await this.#host.held.put(adopted)) await this.#settle(adopted);
  }

  /** Brings a command into the queue, or to its answer. */
  async #settle(command: HeldCommand): Promise<void> {
    const host = this.#host;
    for (let tries = 1; tries <= MAX_TRIES && !this.#isStopping; tries++) {
      const { since, until } = command;
      if (until <= host.serverNow()) return await this.#end(command);
      const data = { owner_id: ownerOf(command), since, until };
      const queued = await host.execute(internally(host.replica, command, 'queue', data));
      // Replayed: its publish was repeated, for the first acknowledgement was lost.
      if (queued.kind === 'committed' || queued.kind === 'replayed') return this.#do(() => this.#endInTime(command));
      if (queued.kind === 'denied' && queued.code === 'queue_full') return await this.#conclude(command, queued);
      // The lock has come free, or is the owner's own.
      const margin = Math.min(LAST_MOMENTS_MS, (until - since) / 2);
      const heldBack = { until, freeUntil: until - margin };
      const outcome = queued.kind === 'denied' ? await host.execute(command, heldBack) : undefined;
      if (outcome !== undefined && isAnswer(outcome)) return await this.#conclude(command, outcome);
      if (outcome?.kind !== 'denied') await host.sleep(RETRY_MS, this.#stopping.signal);
    }
    // The rounds will find it.
  }

  async #endInTime(command: HeldCommand): Promise<void> {
    await this.#host.sleep(Math.max(0, command.until - this.#host.serverNow()), this.#stopping.signal);
    const current = this.#current(command);
    if (current?.keeper === this.#host.replica && !this.#isStopping) await this.#end(current);
  }

  /** The wait is over: takes the place away, so that nobody can grant it any more, and answers what is so then. */
  async #end(command: HeldCommand): Promise<void> {
    const host = this.#host;
    while (this.#current(command) !== undefined && !this.#isStopping) {
      const place = { key: keyOf(ownerOf(command)), owner_id: ownerOf(command) };
      const left = await host.execute(internally(host.replica, command, 'leave', place));
      const outcome = left.kind === 'unavailable' ? left : await this.#executeInTurn(command);
      if (outcome.kind !== 'unavailable' && outcome.kind !== 'abandoned') return await this.#conclude(command, outcome);
      await host.sleep(RETRY_MS, this.#stopping.signal);
    }
  }

  #handOver(entityId: string, entity?: SeenEntity): void {
    if (this.#handovers.has(entityId)) {
      this.#handovers.set(entityId, true);
      return;
    }
    this.#handovers.set(entityId, false);
    this.#do(async () => {
      let seen = entity;
      try {
        do {
          this.#handovers.set(entityId, false);
          await this.#grantNext(entityId, seen);
          seen = undefined;
        } while (this.#handovers.get(entityId) === true && !this.#isStopping);
      } finally {
        this.#handovers.delete(entityId);
      }
    });
  }

  /** Once a command has had a place, it may not be granted without it. */
  #executeInTurn(command: HeldCommand): Promise<StoreOutcome> {
    return this.#host.execute(command, { until: command.until, freeUntil: 0 });
  }

  /** Grants a free lock to whoever is first. */
  async #grantNext(entityId: string, seen: SeenEntity | undefined): Promise<void> {
    const host = this.#host;
    const entity = seen ?? (await host.look(entityId));
    const lock = entity?.state as LockState | null | undefined;
    if (entity === undefined || lock === undefined) return;
    const now = host.serverNow();
    if (isHeld(lock) && Date.parse(lock.expires_at) + LOST_MS > now) return;
    const [first] = readQueue(entity.notes, now);
    if (first === undefined) return;
    const command =
      this.#waiter(entityId, first.key, first.until) ?? (await this.#missing(entityId, first.key, first.until));
    if (command === undefined) {
      const { replica } = host;
      await host.execute(internally(replica, { entityId, headers: [], commandId: '' }, 'leave', { key: first.key }));
      return;
    }
    const outcome = await this.#executeInTurn(command);
    if (isAnswer(outcome)) await this.#conclude(command, outcome);
  }

  /** @param until of the place: an owner may have asked more than once */
  #waiter(entityId: string, key: string, until?: number): HeldCommand | undefined {
    return this.#host.held
      .of(entityId)
      .findLast((command) => keyOf(ownerOf(command)) === key && command.until === (until ?? command.until));
  }

  /** News of a command can be late; what the server has counts. */
  async #missing(entityId: string, key: string, until?: number): Promise<HeldCommand | undefined> {
    await this.#host.held.refresh(entityId);
    return this.#waiter(entityId, key, until);
  }

  /** Its owner has asked anew, unless it was granted before. */
  async #supersede(command: HeldCommand): Promise<void> {
    const outcome = await this.#executeInTurn(command);
    if (isAnswer(outcome)) await this.#conclude(command, outcome);
    else this.#cancelled(command, 'the same owner has asked anew');
  }

  #cancelled(command: HeldCommand, reason: string): void {
    this.#do(() => this.#conclude(command, refused(command, 'cancelled', reason)));
  }

  /** Answers a command and forgets it. A grant that nobody is there to take is taken back. */
  async #conclude(command: HeldCommand, outcome: StoreOutcome): Promise<void> {
    const host = this.#host;
    // Whoever has committed it will answer in a moment, if they live.
    if (outcome.kind === 'replayed') await host.sleep(OTHERS_MS, this.#stopping.signal);
    const current = this.#current(command);
    if (current === undefined) return;
    const taken = host.answer(current, outcome);
    host.held.drop(current);
    const grant = takenNow(outcome);
    // Not waited for: an inbox that somebody listens to says nothing.
    if (grant !== undefined) void this.#takeBackUnless(taken, command, grant);
  }

  async #takeBackUnless(taken: Promise<boolean>, command: HeldCommand, grant: JsonObject): Promise<void> {
    try {
      if (!(await taken)) await this.#host.execute(internally(this.#host.replica, command, 'withdraw', grant));
    } catch (error) {
      this.#host.onFault(error);
    }
  }

  /** The command as it is held now: a retry may have brought another inbox, or another replica taken it over. */
  #current({ entityId, commandId }: HeldCommand): HeldCommand | undefined {
    return this.#host.held.of(entityId).find((command) => command.commandId === commandId);
  }
}

/** Whether an outcome of `acquire` is more than "still held". */
function isAnswer(outcome: StoreOutcome): boolean {
  if (outcome.kind === 'denied') return outcome.code !== 'held';
  return outcome.kind !== 'unavailable' && outcome.kind !== 'abandoned' && outcome.kind !== 'held';
}
