/**
 * Those who wait for a lock, and how they get it.
 *
 * Who comes first is decided by the compare-and-set of the lock alone: its notes hold the queue. What else it takes to serve
 * a waiter (the command, and the inbox that it shall be answered at) is held where every replica finds it. So whichever
 * replica sees a lock come free can decide the first waiter's own command once more, which now commits, and answer it.
 *
 * Invariants
 * - A held command is answered, and then forgotten; at worst twice, never not at all while a replica lives.
 * - A waiter is granted a lock only with a place in its queue. So nobody is answered "held" or "cancelled" while a replica
 *   could still grant them the lock: their place is taken away first.
 * - A grant costs the same number of messages however many wait.
 */
import type { LockState } from '@meshforge/protocol';
import type { AgentHost, Companion, HeldCommand, RefusedCommand, SeenEntity } from '@meshforge/runtime';
import { isHeld } from '../denied.ts';
import { Answers, hasCommitted, isAnswer, OTHERS_MS, RETRY_MS } from './answers.ts';
import { Deadlines } from './deadlines.ts';
import { Handovers } from './handovers.ts';
import { grantOf, holderIn, internally, ownerKeyOf, ownerOf, refused, waitMsOf } from './held-acquire.ts';
import { clearPlace, giveUpPlace, leavePlace } from './places.ts';
import { keyOf, readQueue } from './queue.ts';
import { Rounds } from './rounds.ts';
import { storeHeld } from './store-held.ts';
import { isSuperseded } from './superseded.ts';
import { viewOf } from './view.ts';

/** Commands held at once: each replica has them all in memory, about 1 KiB each. */
const MAX_HELD = 100_000;
/** Tries to get into a queue while the lock changes hands. */
const MAX_TRIES = 20;
const CANCELLED = 'cancelled by a command';
const SUPERSEDED = 'the same owner has asked anew';
/** The runtime ends a lease this long after its time if the server did not. */
const LOST_MS = 10_500;

export class WaitingRoom implements Companion {
  readonly #host: AgentHost;
  readonly #answers: Answers;
  readonly #stopping = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  /** Commands that are on their way into the queue. */
  readonly #settling = new Set<string>();
  readonly #deadlines: Deadlines;
  readonly #handovers: Handovers<SeenEntity>;

  constructor(host: AgentHost) {
    this.#host = host;
    this.#deadlines = new Deadlines(host, (command) => {
      if (command.keeper === host.replica) this.#do(() => this.#end(command));
    });
    this.#answers = new Answers(host, this.#stopping.signal, (command) => this.#deadlines.forget(command));
    this.#handovers = new Handovers((entityId, entity) => this.#grantNext(entityId, entity));
    const rounds = new Rounds(host, {
      free: (entityId, entity) => this.#handOver(entityId, entity),
      lost: (command) => this.#do(() => this.#adopt(command)),
      over: (command) => this.#do(() => this.#end(command)),
    });
    this.#do(() => rounds.run(this.#stopping.signal));
  }

  holdsBack(
    { action, data, expectedVersion, ...command }: RefusedCommand,
    code: string,
    remembered?: SeenEntity,
  ): boolean {
    const waitMs = waitMsOf(action, data);
    // Whoever expects a version cannot mean the one after the wait.
    if (code !== 'held' || waitMs === 0 || expectedVersion !== undefined || this.#isStopping) return false;
    if (this.#host.held.size >= MAX_HELD) return false;
    // Where others wait, a newcomer will have to wait as well; that the lock stands so is for the queue to find out.
    if (remembered !== undefined && readQueue(remembered.notes, this.#host.serverNow()).length === 0) return false;
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
    if (event === 'cancelled') this.#do(() => this.#cancel(entityId, keyOf(data.owner_id ?? '')));
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
    this.#deadlines.stop();
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

  /** Takes a command in. An earlier one of the same owner gives way to it, and leaves it its place. */
  async #admit(command: HeldCommand): Promise<void> {
    const { held } = this.#host;
    const isEarlier = (other: HeldCommand): boolean =>
      ownerOf(other) === ownerOf(command) && (other.commandId === command.commandId || other.since < command.since);
    const earlier = held.of(command.entityId).filter(isEarlier);
    // The same command again is a retry from another inbox: it waits where it waited, until it would have waited.
    const first = earlier.find(({ commandId }) => commandId === command.commandId);
    const kept = { ...command, since: first?.since ?? command.since, until: first?.until ?? command.until };
    const stored = await storeHeld(this.#host, kept, this.#stopping.signal);
    if (stored === 'failed') return await this.#turnAway(kept);
    if (stored === 'answered') return;
    // Its place is taken, or the rounds will see that it is not.
    if (first !== undefined) return this.#deadlines.set(kept);
    if (!(await this.#settle(kept))) return;
    // Only now can no earlier one be granted the lock any more.
    for (const other of earlier) if (other.commandId !== kept.commandId) this.#cancelUnplaced(other, SUPERSEDED);
  }

  /** Refuses a command that could not be stored. It may be all the same, and another replica have granted it the lock. */
  async #turnAway(command: HeldCommand): Promise<void> {
    const host = this.#host;
    await host.held.drop(command);
    const outcome = await giveUpPlace(host, command);
    const why = 'the wait could not be stored: send it again in a second';
    const isGranted = hasCommitted(outcome);
    const answer = isGranted ? outcome : refused(command, 'unavailable', why);
    // Whether it was granted nobody can tell: neither must this.
    if (outcome.kind === 'denied' || isGranted) await host.answer(command, answer);
  }

  /** Sees to a command that another replica has let fall. */
  async #adopt(command: HeldCommand): Promise<void> {
    if (this.#settling.has(command.commandId)) return;
    const latest = this.#waiter(command.entityId, ownerKeyOf(command));
    if (latest !== undefined && latest.commandId !== command.commandId)
      return this.#cancelUnplaced(command, SUPERSEDED);
    const adopted = { ...command, keeper: this.#host.replica };
    if (await this.#host.held.replace(adopted)) await this.#settle(adopted);
  }

  /** Brings a command into the queue, or to its answer. @returns whether no earlier one of the owner has a place any more */
  async #settle(command: HeldCommand): Promise<boolean> {
    this.#settling.add(command.commandId);
    return await this.#enqueue(command).finally(() => this.#settling.delete(command.commandId));
  }

  async #enqueue(command: HeldCommand): Promise<boolean> {
    const host = this.#host;
    let { since } = command;
    const { until } = command;
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const current = this.#answers.current(command);
      if (current === undefined || (tries > 1 && this.#isStopping)) return false;
      // A copy of it that has come meanwhile is on its own way into the queue.
      if (current.reply !== command.reply || current.until !== until) return true;
      if (until <= host.serverNow()) {
        await this.#end(command);
        return false;
      }
      const data = { owner_id: ownerOf(command), since, until };
      const queued = await host.execute(internally(host.replica, command, 'queue', data));
      // Replayed: its publish was repeated, for the first acknowledgement was lost.
      if (hasCommitted(queued)) {
        const isAnswered = this.#answers.current(command) === undefined;
        // A place that nobody waits in would hold up others.
        if (isAnswered) await leavePlace(host, command);
        else this.#deadlines.set(command);
        // There is nothing to wait for; and it may be this very command by which the owner holds the lock.
        if (!isAnswered && holderIn(queued) === ownerOf(command)) await this.#grant(command);
        return true;
      }
      if (queued.kind === 'denied' && queued.code === 'cancelled') {
        if (await isSuperseded(host.held, command)) {
          this.#cancelUnplaced(command, SUPERSEDED);
          return true;
        }
        // The place is that of a copy of it, sent again: this one takes it over.
        since = host.serverNow();
      } else if (isAnswer(queued)) {
        await this.#answers.conclude(command, queued);
        return true;
      }
      await host.sleep(RETRY_MS, this.#stopping.signal);
    }
    // The rounds will find it.
    return false;
  }

  /** The wait is over: takes the place away, so that nobody can grant it any more, and answers what is so then. */
  async #end(command: HeldCommand): Promise<void> {
    const host = this.#host;
    while (this.#answers.current(command) !== undefined && !this.#isStopping) {
      const outcome = await giveUpPlace(host, command);
      if (outcome.kind !== 'unavailable' && outcome.kind !== 'abandoned')
        return await this.#answers.conclude(command, outcome);
      await host.sleep(RETRY_MS, this.#stopping.signal);
    }
  }

  /** An owner was taken out of the queue by command. */
  async #cancel(entityId: string, key: string): Promise<void> {
    while (!this.#isStopping) {
      try {
        if (this.#waiter(entityId, key) === undefined) await this.#host.held.refresh(entityId);
        const commands = this.#host.held.of(entityId).filter((command) => ownerKeyOf(command) === key);
        const graceMs = commands.length === 1 ? 0 : OTHERS_MS;
        for (const command of commands) this.#cancelUnplaced(command, CANCELLED, graceMs);
        return;
      } catch {
        await this.#host.sleep(RETRY_MS, this.#stopping.signal);
      }
    }
  }

  /** Of several commands of one owner, only one has the place; after a while it is sure which. */
  #cancelUnplaced(command: HeldCommand, reason: string, graceMs = OTHERS_MS): void {
    this.#do(async () => {
      await this.#host.sleep(graceMs, this.#stopping.signal);
      const outcome = await this.#host.execute(grantOf(command));
      // What it was granted before that, it was granted.
      if (isAnswer(outcome)) await this.#answers.conclude(command, outcome);
      else if (outcome.kind === 'denied' && outcome.code === 'not_waiting') {
        await this.#answers.refuse(command, refused(command, 'cancelled', reason));
      }
    });
  }

  #handOver(entityId: string, entity?: SeenEntity): void {
    this.#do(() => this.#handovers.run(entityId, entity));
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
    const { key, until } = first;
    const command = this.#waiter(entityId, key, until) ?? (await this.#missing(entityId, key, until));
    if (command === undefined) await clearPlace(host, entityId, first);
    else await this.#grant(command);
  }

  /** Grants a lock to a command that has a place in its queue, if it is its turn. */
  async #grant(command: HeldCommand): Promise<void> {
    const outcome = await this.#host.execute(grantOf(command));
    if (!isAnswer(outcome)) return;
    // To see whether somebody else answers must not hold up the next, nor must one that is not granted, such as one of long ago
    // sent again.
    this.#do(() => this.#answers.conclude(command, outcome));
    // Whose place it was has been answered; if the owner waits for another command, the rounds find that.
    if (outcome.kind !== 'committed') await leavePlace(this.#host, command);
  }

  /** The latest command of an owner, or that whose wait ends then. */
  #waiter(entityId: string, key: string, until?: number): HeldCommand | undefined {
    return this.#host.held
      .of(entityId)
      .findLast((command) => ownerKeyOf(command) === key && (until === undefined || command.until === until));
  }

  /** News of a command can be late; what the server has counts. */
  async #missing(entityId: string, key: string, until?: number): Promise<HeldCommand | undefined> {
    await this.#host.held.refresh(entityId);
    return this.#waiter(entityId, key, until);
  }
}
