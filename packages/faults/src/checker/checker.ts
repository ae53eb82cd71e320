/**
 * Holds a history against the invariants of MeshForge while it happens.
 *
 * Entries of clients (`sent`, `told`, `queued`) come in the order in which they happened, those of one log in the order of the log;
 * the kinds may run ahead of one another as they like. Every entry costs the same, however long the history is already:
 * only a refusal that nothing explains yet is held against each commit of its entity until its command's time is over.
 *
 * What is not promised: entities are taken to be new when the history begins, and a lease commit that the log no longer
 * has is taken on trust as far as the messages around it allow.
 */
import type { Breach, Entry, Heard, Logged, Sent, Taken, Told } from '../history.ts';
import { CHECKED_AGENTS, type CheckedAgent } from './agents.ts';
import type { Invariant, Watcher } from './invariant.ts';
import { INVARIANTS } from './invariants.ts';
import { Ledger } from './ledger.ts';
import type { Command, Message } from './records.ts';

export class Checker {
  readonly #ledger: Ledger;
  readonly #watchers: readonly Watcher[];
  readonly #breaches: Breach[] = [];
  readonly #limits = new Map<string, number>();
  #steps = 0;
  #finished = false;

  constructor(agents: readonly CheckedAgent[] = CHECKED_AGENTS, invariants: readonly Invariant[] = INVARIANTS) {
    const ledger = new Ledger(agents);
    this.#ledger = ledger;
    this.#watchers = invariants.map(({ name, create }) =>
      create({
        ledger,
        breach: (what, history) => {
          this.#breaches.push({ invariant: name, what, history: history.filter((entry) => entry !== undefined) });
        },
        limit: (limit) => this.#limits.set(limit, (this.#limits.get(limit) ?? 0) + 1),
        step: () => void this.#steps++,
      }),
    );
  }

  /** Found so far. */
  get breaches(): readonly Breach[] {
    return this.#breaches;
  }

  /** How often something was seen that may happen by design, though nobody wishes for it; by its name. */
  get knownLimits(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#limits);
  }

  /** Work done so far, in pieces that take much the same time. */
  get steps(): number {
    return this.#steps;
  }

  /** @throws RangeError for an answer to a command never sent, an id sent with two contents, or an unknown agent */
  add(entry: Entry): void {
    this.#steps++;
    switch (entry.type) {
      case 'sent':
        this.#sent(entry);
        break;
      case 'told':
        this.#told(entry);
        break;
      case 'queued':
        this.#ledger.queued(entry);
        break;
      case 'logged':
        this.#logged(entry);
        break;
      case 'heard':
        this.#heard(entry);
        break;
      case 'disturbed':
        for (const watcher of this.#watchers) watcher.onDisturbed?.(entry);
        break;
      case 'taken':
        this.#taken(entry);
        break;
    }
  }

  /**
   * The history has ended. Where it is complete, what has not come by now never came; else nothing is said of that, for one hole
   * would look like thousands of breaches.
   */
  finish(isComplete = true): readonly Breach[] {
    if (!this.#finished && isComplete) for (const watcher of this.#watchers) watcher.finish?.();
    this.#finished = true;
    return this.#breaches;
  }

  #sent(sent: Sent): void {
    const filed = this.#ledger.sent(sent);
    if (filed === undefined) return;
    for (const watcher of this.#watchers) watcher.onSent?.(filed.command);
    for (const message of filed.messages) this.#pair(message, filed.command);
  }

  #told(told: Told): void {
    const command = this.#ledger.told(told);
    if (command.isOld) return;
    for (const watcher of this.#watchers) watcher.onTold?.(told, command);
    if (told.answer === undefined) return;
    for (const message of command.messages) {
      for (const watcher of this.#watchers) watcher.onSettled?.(told, message, command);
    }
  }

  #taken(taken: Taken): void {
    const left = this.#ledger.taken(taken);
    for (const watcher of this.#watchers) watcher.onTaken?.(taken);
    for (const entry of left) this.#logged(entry, true);
  }

  /** @param isAgain it was filed before a log lost its tail */
  #logged(entry: Logged, isAgain = false): void {
    const filed = this.#ledger.logged(entry);
    if (filed.kind === 'repeated') return;
    if (filed.kind === 'rewritten') {
      for (const watcher of this.#watchers) watcher.onRewritten?.(entry, filed.message);
      return;
    }
    const { message } = filed;
    for (const watcher of this.#watchers) watcher.onLogged?.(message, isAgain);
    if (message.command !== undefined) this.#pair(message, message.command);
  }

  #heard(heard: Heard): void {
    for (const watcher of this.#watchers) watcher.onHeard?.(heard);
  }

  #pair(message: Message, command: Command): void {
    command.messages.push(message);
    for (const watcher of this.#watchers) watcher.onPaired?.(message, command);
    for (const told of command.told) {
      for (const watcher of this.#watchers) watcher.onSettled?.(told, message, command);
    }
  }
}
