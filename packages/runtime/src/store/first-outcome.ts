import type { Clock } from '../clock.ts';
import { rejected, type Command } from '../core/decide.ts';
import type { LogMessage } from '../core/entity.ts';
import type { RecentCommit } from '../core/recent.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { StoredMessage } from '../nats/stored-message.ts';
import { refusal, success, type StoreOutcome } from '../core/outcome.ts';
import { MAX_PAUSE_MS, pause } from './pause.ts';

const decoder = new TextDecoder();

/**
 * The outcome of a command that was committed before (I5), from the memory of its entity or from the log. Asks until it
 * is told, since any other answer would be untrue; `abandoned` once the store has stopped.
 */
export async function firstOutcome(
  { reader, clock }: { reader: EntityReader; clock: Clock },
  command: Command,
  commit: RecentCommit,
  hasStopped: () => boolean,
): Promise<StoreOutcome> {
  const { entityId, commandId } = command;
  if (commit.inline !== undefined) {
    const { event, state, data } = commit.inline;
    const payload = { entity_id: entityId, entity_version: commit.version, state, data };
    return success('replayed', event, JSON.stringify(payload));
  }
  for (let tries = 1; ; tries++) {
    const read = await reader.message(commit.sequence);
    if (read.kind === 'unavailable') {
      if (hasStopped()) return { kind: 'abandoned' };
      await clock.sleep(pause(clock, tries, MAX_PAUSE_MS));
      continue;
    }
    const stored = read.value;
    const message = stored === undefined ? undefined : readable(reader, stored);
    if (message === undefined || stored === undefined) {
      const reason = `command ${commandId} was committed before; its outcome is no longer kept`;
      return refusal('rejected', rejected(command, 'invalid_command', reason).payload);
    }
    if (message.entityId !== entityId) {
      const reason = `command id ${commandId} was used before, on another entity: give each command its own`;
      return refusal('rejected', rejected(command, 'invalid_command', reason).payload);
    }
    return success('replayed', message.expiredEvent ?? message.event, decoder.decode(stored.data));
  }
}

/** Undefined for a message that no agent wrote. */
function readable(reader: EntityReader, stored: StoredMessage): LogMessage | undefined {
  try {
    return reader.toLogMessage(stored);
  } catch {
    return undefined;
  }
}
