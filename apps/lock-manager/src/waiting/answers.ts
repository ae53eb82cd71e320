import type { JsonObject, LockDenial } from '@meshforge/protocol';
import type { AgentHost, HeldCommand, StoreOutcome } from '@meshforge/runtime';
import { internally, takenNow } from './held-acquire.ts';
import { giveUpPlace } from './places.ts';

/** Another replica that was to act has so long before this one does it in its place. */
export const OTHERS_MS = 300;
/** Before what the server did not answer is tried again. */
export const RETRY_MS = 100;

/** Answers held commands. */
export class Answers {
  readonly #host: AgentHost;
  readonly #stopping: AbortSignal;
  readonly #onAnswered: (command: HeldCommand) => void;

  constructor(host: AgentHost, stopping: AbortSignal, onAnswered: (command: HeldCommand) => void) {
    this.#host = host;
    this.#stopping = stopping;
    this.#onAnswered = onAnswered;
  }

  /** The command as it is held now: a retry may have brought another inbox, or another replica taken it over. */
  current({ entityId, commandId }: HeldCommand): HeldCommand | undefined {
    return this.#host.held.find(entityId, commandId);
  }

  /**
   * Answers a command and forgets it. A commit is answered by whoever made it; of any other answer the replicas agree who
   * gives it. A grant that nobody is there to take is taken back.
   */
  async conclude(command: HeldCommand, outcome: StoreOutcome): Promise<void> {
    const host = this.#host;
    if (outcome.kind !== 'committed') {
      // Whoever has committed it will answer in a moment, if they live.
      if (outcome.kind === 'replayed') await host.sleep(OTHERS_MS, this.#stopping);
      const claimed = await this.#claim(command, outcome);
      if (claimed !== undefined) await this.#tell(claimed, outcome);
      return;
    }
    const current = this.current(command);
    if (current === undefined) return;
    const taken = host.answer(current, outcome);
    this.#onAnswered(current);
    const grant = takenNow(outcome);
    // Not waited for: an inbox that somebody listens to says nothing.
    if (grant !== undefined) void this.#takeBackUnless(taken, command, grant);
    await host.held.drop(current);
  }

  /**
   * Answers a command that has no place with a refusal, unless it was granted the lock after all. First it is nobody else's to
   * answer any more, and only then is a place taken away that it was given meanwhile: so no grant can come after the refusal.
   */
  async refuse(command: HeldCommand, refusal: StoreOutcome): Promise<void> {
    const host = this.#host;
    const claimed = await this.#claim(command, refusal);
    if (claimed === undefined) return;
    let outcome = await giveUpPlace(host, claimed);
    while (outcome.kind === 'unavailable' && !this.#stopping.aborted) {
      await host.sleep(RETRY_MS, this.#stopping);
      outcome = await giveUpPlace(host, claimed);
    }
    await this.#tell(claimed, hasCommitted(outcome) ? outcome : refusal);
  }

  async #claim(command: HeldCommand, outcome: StoreOutcome): Promise<HeldCommand | undefined> {
    const claimed = this.current(command) === undefined ? undefined : await this.#host.held.claim(command, outcome);
    this.#onAnswered(command);
    return claimed;
  }

  async #tell(claimed: HeldCommand, outcome: StoreOutcome): Promise<void> {
    const host = this.#host;
    // Not waited for: an inbox that somebody listens to says nothing.
    host.answer(claimed, outcome).catch((error: unknown) => host.onFault(error));
    await host.held.drop(claimed);
  }

  async #takeBackUnless(taken: Promise<boolean>, command: HeldCommand, grant: JsonObject): Promise<void> {
    try {
      if (!(await taken)) await this.#host.execute(internally(this.#host.replica, command, 'withdraw', grant));
    } catch (error) {
      this.#host.onFault(error);
    }
  }
}

/** Whether a command has committed, now or before. */
export function hasCommitted(
  outcome: StoreOutcome,
): outcome is Extract<StoreOutcome, { kind: 'committed' | 'replayed' }> {
  return outcome.kind === 'committed' || outcome.kind === 'replayed';
}

/** What an owner is told who need not be told anything yet: the next moment will bring something else. */
const NOT_NOW: readonly string[] = ['held', 'not_waiting', 'too_late'] satisfies LockDenial[];

/** Whether an outcome of `queue` or `grant` is more than "not now". */
export function isAnswer(outcome: StoreOutcome): boolean {
  if (outcome.kind === 'denied') return !NOT_NOW.includes(outcome.code);
  return outcome.kind !== 'unavailable' && outcome.kind !== 'abandoned' && outcome.kind !== 'held';
}
