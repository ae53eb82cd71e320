import type { Clock } from '../clock.ts';
import { misused, type Command } from '../core/decide.ts';
import { decidedBefore, refusal, success, type StoreOutcome } from '../core/outcome.ts';
import type { RecentCommand } from '../core/recent.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import { logMessage, type LogMessage, type StoredMessage } from '../nats/stored-message.ts';
import type { AnyAgent } from '../core/agent.ts';
import { MAX_PAUSE_MS, pause } from './pause.ts';

const decoder = new TextDecoder();

/**
 * The outcome of a command that was decided before (I5), from the memory of its entity or from the log. Asks until it
 * is told, since any other answer would be untrue; `abandoned` once the store has stopped.
 */
export async function firstOutcome(
  { agent, reader, clock }: { agent: AnyAgent; reader: EntityReader; clock: Clock },
  command: Command,
  earlier: Pick<RecentCommand, 'inline' | 'sequence' | 'version'>,
  hasStopped: () => boolean,
): Promise<StoreOutcome> {
  const { entityId } = command;
  if (earlier.inline !== undefined) {
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
    const message = stored === undefined ? undefined : readable(agent, stored);
    if (message === undefined || stored === undefined) return decidedBefore(command, true);
    const { entry } = message;
    if (message.entityId !== entityId) return refusal('rejected', misused(command, 'on another entity').payload);
    const body = entry.command?.body ?? '';
    if (body !== '' && command.bodyDigest !== '' && body !== command.bodyDigest) {
      return refusal('rejected', misused(command, 'for another command on this entity').payload);
    }
    if (entry.kind !== 'record') return success('replayed', entry.event, decoder.decode(stored.data));
    if (entry.refusal === undefined) return decidedBefore(command, false);
    return { ...refusal(entry.refusal.kind, entry.refusal.payload), isReplayed: true };
  }
}

/** Undefined for a message that no agent wrote. */
function readable(agent: AnyAgent, stored: StoredMessage): LogMessage | undefined {
  try {
    return logMessage(agent, stored);
  } catch {
    return undefined;
  }
}
