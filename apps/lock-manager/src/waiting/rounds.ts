import type { LockState } from '@meshforge/protocol';
import type { AgentHost, HeldCommand, SeenEntity } from '@meshforge/runtime';
import { isHeld } from '../denied.ts';
import { ownerOf } from './held-acquire.ts';
import { keyOf, readQueue } from './queue.ts';

/** How often a replica looks after the commands it keeps, in milliseconds; after those of others every third time. */
const ROUND_MS = 750;
const OTHERS_EVERY = 3;
const AT_ONCE = 16;
/** A wait that is over is seen to by its keeper at once, by the rounds after this, in milliseconds. */
const OVERDUE_MS = 1_000;

export interface RoundsActions {
  /** A lock that somebody waits for is free, or its lease is long over. */
  free: (entityId: string, entity: SeenEntity) => void;
  /** A command that is held has no place in the queue. */
  lost: (command: HeldCommand) => void;
  /** A wait has been over for a while. */
  over: (command: HeldCommand) => void;
}

/**
 * Looks again and again at the locks that somebody waits for: what a crash has cut short, and news that has not arrived,
 * must not keep anybody waiting.
 */
export class Rounds {
  readonly #host: AgentHost;
  readonly #actions: RoundsActions;
  /** By lock, commands that had no place when it was last looked at: once can be news that is under way, twice is not. */
  #suspects = new Map<string, ReadonlySet<string>>();

  constructor(host: AgentHost, actions: RoundsActions) {
    this.#host = host;
    this.#actions = actions;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let round = 1; !signal.aborted; round++) {
      await this.#host.sleep(ROUND_MS, signal);
      if (signal.aborted) return;
      const everybodys = round % OTHERS_EVERY === 0;
      const all = this.#host.held.entities();
      const known = new Set(all);
      for (const entityId of this.#suspects.keys()) if (!known.has(entityId)) this.#suspects.delete(entityId);
      const entities = all.filter((entityId) => everybodys || this.#keeps(entityId));
      for (let at = 0; at < entities.length; at += AT_ONCE) {
        const looks = entities.slice(at, at + AT_ONCE).map((entityId) => this.#look(entityId));
        await Promise.all(looks).catch((error: unknown) => this.#host.onFault(error));
      }
    }
  }

  #keeps(entityId: string): boolean {
    return this.#host.held.of(entityId).some(({ keeper }) => keeper === this.#host.replica);
  }

  async #look(entityId: string): Promise<void> {
    const host = this.#host;
    // What comes while the lock is read may have its place already, and what goes may have lost it.
    const before = new Set(host.held.of(entityId));
    const entity = await host.look(entityId);
    if (entity === undefined) return;
    const commands = host.held.of(entityId).filter((command) => before.has(command));
    const now = host.serverNow();
    const lock = entity.state as LockState | null;
    const queue = readQueue(entity.notes, now);
    const isOpen = !isHeld(lock) || Date.parse(lock.expires_at) < now;
    if (isOpen && queue.length > 0) this.#actions.free(entityId, entity);
    const places = new Map(queue.map(({ key, until }) => [key, until]));
    const suspects = new Set<string>();
    for (const command of commands) {
      const { commandId, until } = command;
      if (until + OVERDUE_MS < now) this.#actions.over(command);
      else if (until > now && places.get(keyOf(ownerOf(command))) !== until) {
        if (this.#suspects.get(entityId)?.has(commandId) === true) this.#actions.lost(command);
        else suspects.add(commandId);
      }
    }
    this.#suspects.set(entityId, suspects);
  }
}
