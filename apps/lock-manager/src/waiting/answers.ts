import type { JsonObject } from '@meshforge/protocol';
import type { AgentHost, HeldCommand, StoreOutcome } from '@meshforge/runtime';
import { internally, takenNow } from './held-acquire.ts';

/** Another replica that was to act has so long before this one does it in its place. */
export const OTHERS_MS = 300;

/** Answers held commands. */
export class Answers {
  readonly #host: AgentHost;
  readonly #stopping: AbortSignal;

  constructor(host: AgentHost, stopping: AbortSignal) {
    this.#host = host;
    this.#stopping = stopping;
  }

  /** The command as it is held now: a retry may have brought another inbox, or another replica taken it over. */
  current({ entityId, commandId }: HeldCommand): HeldCommand | undefined {
    return this.#host.held.of(entityId).find((command) => command.commandId === commandId);
  }

  /** Answers a command and forgets it. A grant that nobody is there to take is taken back. */
  async conclude(command: HeldCommand, outcome: StoreOutcome): Promise<void> {
    const host = this.#host;
    // Whoever has committed it will answer in a moment, if they live.
    if (outcome.kind === 'replayed') await host.sleep(OTHERS_MS, this.#stopping);
    const current = this.current(command);
    if (current === undefined) return;
    const taken = host.answer(current, outcome);
    const dropped = host.held.drop(current);
    const grant = takenNow(outcome);
    // Not waited for: an inbox that somebody listens to says nothing.
    if (grant !== undefined) void this.#takeBackUnless(taken, command, grant);
    await dropped;
  }

  async #takeBackUnless(taken: Promise<boolean>, command: HeldCommand, grant: JsonObject): Promise<void> {
    try {
      if (!(await taken)) await this.#host.execute(internally(this.#host.replica, command, 'withdraw', grant));
    } catch (error) {
      this.#host.onFault(error);
    }
  }
}

/** Whether an outcome of `acquire` is more than "still held". */
export function isAnswer(outcome: StoreOutcome): boolean {
  if (outcome.kind === 'denied') return outcome.code !== 'held';
  return outcome.kind !== 'unavailable' && outcome.kind !== 'abandoned' && outcome.kind !== 'held';
}
