import type { Clock } from '../clock.ts';
import { isOther, misused, OTHER_COMMAND, type Command } from '../core/decide.ts';
import { decidedBefore, refusal, success, type StoreOutcome } from '../core/outcome.ts';
import type { RecentCommand } from '../core/recent.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import { logMessage, type LogMessage, type StoredMessage } from '../nats/stored-message.ts';
import { MAX_PAUSE_MS, pause } from './pause.ts';

const decoder = new TextDecoder();

/**
 * The outcome of a command that was decided before (I5), from the memory of its entity or from the log. Asks until it
 * is told, since any other answer would be untrue; `abandoned` once the store has stopped.
 */
export async function firstOutcome(
  { reader, clock }: { reader: EntityReader; clock: Clock },
  command: Command,
  earlier: EarlierCommand,
  hasStopped: () => boolean,
): Promise<StoreOutcome> {
  const { entityId } = command;
  if (earlier.inline !== undefined) {
    if (isOther(earlier.body, command)) return otherCommand(command, OTHER_COMMAND);
    const { event, state, data } = earlier.inline;
    const payload = { entity_id: entityId, entity_version: earlier.version, state, data };
    return success('replayed', event, JSON.stringify(payload));
  }
  for (let tries = 1; ; tries++) {
    const read = await reader.message(earlier.sequence);
    if (read.kind === 'unavailable') {
      if (hasStopped()) return { kind: 'abandoned' };
      await clock.sleep(pause(clock, tries, MAX_PAUSE_MS));
      continue;
    }
    const stored = read.value;
    const message = stored === undefined ? undefined : readable(stored);
    // Of all messages, only those of leases leave the log.
    if (message === undefined || stored === undefined) return decidedBefore(command, true);
    const { entry } = message;
    if (message.entityId !== entityId) return otherCommand(command, 'on another entity');
    if (isOther(entry.command?.body ?? '', command)) return otherCommand(command, OTHER_COMMAND);
    if (entry.kind !== 'record') return success('replayed', entry.event, decoder.decode(stored.data));
    if (entry.refusal === undefined) return decidedBefore(command, false);
    return { ...refusal(entry.refusal.kind, entry.refusal.payload), isReplayed: true };
  }
}

/** What is known of a command that was decided before. */
export type EarlierCommand = Pick<RecentCommand, 'body' | 'inline' | 'sequence' | 'version'>;

function otherCommand(command: Command, how: string): StoreOutcome {
  return refusal('rejected', misused(command, how).payload);
}

/** Undefined for a message that no agent wrote. */
function readable(stored: StoredMessage): LogMessage | undefined {
  try {
    return logMessage(stored);
  } catch {
    return undefined;
  }
}
