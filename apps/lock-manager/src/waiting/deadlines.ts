import type { AgentHost, HeldCommand } from '@meshforge/runtime';

/** Waits that have lost their command before they are looked through: others answer commands, too. */
const SPARE = 64;

interface Wait {
  readonly command: HeldCommand;
  readonly end: AbortController;
}

/** When held commands have waited for as long as they may. A wait ends with its command, however long it might have been. */
export class Deadlines {
  readonly #host: AgentHost;
  readonly #onOver: (command: HeldCommand) => void;
  /** By the id of the command. */
  readonly #waits = new Map<string, Wait>();

  /** @param onOver told of a command that is still held then, as it is held then */
  constructor(host: AgentHost, onOver: (command: HeldCommand) => void) {
    this.#host = host;
    this.#onOver = onOver;
  }

  set(command: HeldCommand): void {
    this.forget(command);
    if (this.#waits.size >= 2 * this.#host.held.size + SPARE) this.#lookThrough();
    const wait = { command, end: new AbortController() };
    this.#waits.set(command.commandId, wait);
    const ms = Math.max(0, command.until - this.#host.serverNow());
    void this.#wait(wait, ms);
  }

  forget({ commandId }: HeldCommand): void {
    const wait = this.#waits.get(commandId);
    if (wait === undefined) return;
    this.#waits.delete(commandId);
    wait.end.abort();
  }

  stop(): void {
    for (const { command } of this.#waits.values()) this.forget(command);
  }

  async #wait({ command, end }: Wait, ms: number): Promise<void> {
    await this.#host.sleep(ms, end.signal);
    if (end.signal.aborted) return;
    this.forget(command);
    const current = this.#host.held.find(command.entityId, command.commandId);
    if (current !== undefined) this.#onOver(current);
  }

  #lookThrough(): void {
    for (const { command } of this.#waits.values()) {
      if (this.#host.held.find(command.entityId, command.commandId) === undefined) this.forget(command);
    }
  }
}
