import type { AgentHost, HeldCommand, HeldCommands } from '@meshforge/runtime';

const TRIES = 5;
/** Before the second try, and so much more before each further one, in milliseconds. */
const PAUSE_MS = 100;

/** Stores a command that is to wait; tries again while it may wait, unless the lock manager stops. */
export async function storeHeld(
  host: AgentHost,
  command: HeldCommand,
  stopping: AbortSignal,
): ReturnType<HeldCommands['put']> {
  for (let tries = 1; ; tries++) {
    const stored = await host.held.put(command);
    const isOver = tries === TRIES || stopping.aborted || command.until <= host.serverNow();
    if (stored !== 'failed' || isOver) return stored;
    await host.sleep(PAUSE_MS * tries, stopping);
  }
}
