/** What those who waited were told, held against the log. */
import { isLease, type LockEvent } from './locks.ts';
import { tellingOf, type Waiter } from './waiting.ts';

/** What may be told to one who waits. */
const TELLINGS = new Set(['acquired', 'held', 'cancelled', 'queue_full', 'unavailable', 'contended']);

export interface AnswerRules {
  /** Nothing was killed or paused: one answer each. */
  once: boolean;
}

/**
 * Says what is wrong with the answers:
 * - everybody who stayed has one, and where nothing was killed no second one;
 * - a lease that was told of is in the log; who was told that there is none was never granted one by that command.
 */
export function answerFlaws(waiters: readonly Waiter[], events: readonly LockEvent[], { once }: AnswerRules): string[] {
  const leases = new Map<string, LockEvent>();
  for (const change of events) if (change.event === 'acquired') leases.set(change.commandId, change);
  return waiters.flatMap(({ owner, commandId, answers, isGone, sends }) => {
    const flaws: string[] = [];
    const wrong = (what: string): void => void flaws.push(`${commandId} of ${owner} ${what}`);
    const told = answers.map(({ reply }) => tellingOf(reply));
    if (told.length === 0 && !isGone()) wrong('was not answered');
    if (told.length > 1 && once) wrong(`was answered ${told.join(' and ')}`);
    for (const telling of told) if (!TELLINGS.has(telling)) wrong(`was told ${telling}`);
    const lease = leases.get(commandId);
    const granted = answers.find(({ reply }) => isLease(reply));
    if (granted !== undefined && lease?.payload.entity_version !== granted.reply.payload['entity_version']) {
      wrong(`was told of a lease ${String(granted.reply.payload['entity_version'])} that is not in the log`);
    }
    const refused = told.find((telling) => telling === 'held' || telling === 'cancelled' || telling === 'queue_full');
    // Who sends it again after that may be granted it.
    if (refused !== undefined && lease !== undefined && sends() === 1) {
      wrong(`was told ${refused}, and granted ${lease.payload.entity_version}`);
    }
    return flaws;
  });
}
