import type { Sent } from '../history.ts';
import { lockOf } from './agents.ts';
import type { Message } from './records.ts';
import { dataOf, ruling, type Ruling } from './ruling.ts';
import { sameJson } from './same-json.ts';

/**
 * Whether a commit follows from the lease whose expiry came directly before it, and was decided before that end: the leader
 * of a replicated stream does not hold a commit against an expiry that is not stored yet (decision 11).
 */
export function isOvertaken(message: Message, sent: Sent): boolean {
  const { before, entity } = message;
  const lock = before?.entry.byServer === true ? lockOf(before.entry.agent, before.entry.state) : undefined;
  // Nothing but what came before tells when a change of the queue was decided: here, what came before the expiry.
  const then = message.entry.aside === undefined ? message : { ...message, before: before?.before };
  const decidedAt = decisionTime(then, sent);
  if (before === undefined || lock === undefined) return false;
  // Until its expiry is stored a lease stands, for whoever changes only the queue.
  if (message.entry.aside === undefined && decidedAt >= Date.parse(lock.expires_at)) return false;
  const { notes, version } = before;
  const ruled = ruling(entity.agent.agent, { state: before.entry.state, version, notes }, sent, decidedAt);
  return differenceTo(ruled, message) === undefined;
}

/** When the agent decided on a commit, as far as its result names a time; in milliseconds since the epoch. */
export function decisionTime({ before, entity, entry, timeMs }: Message, sent: Sent): number {
  const { agent } = entity;
  const data = dataOf(agent.agent, sent);
  return (data && agent.decidedAt(entry, data, before ?? { notes: '', timeMs })) ?? timeMs;
}

/** What of a commit is not as the rules have it. */
export function differenceTo(ruled: Ruling, { entry }: Message): string | undefined {
  if (ruled.kind === 'malformed') return `is none that the agent could decide: ${ruled.reason}`;
  if (ruled.kind === 'refusal') return `is none: the rules refuse it, ${ruled.code}`;
  const { aside = 'a change', event, notes, state, data } = ruled;
  if (event !== entry.event) return `is ${entry.event}, expected ${event}`;
  if (aside !== (entry.aside ?? 'a change')) return `is ${entry.aside ?? 'a change'}, expected ${aside}`;
  if (!sameJson(state, entry.state))
    return `has the state ${JSON.stringify(entry.state)}, expected ${JSON.stringify(state)}`;
  if (!sameJson(data, entry.data))
    return `has the data ${JSON.stringify(entry.data)}, expected ${JSON.stringify(data)}`;
  if (notes !== (entry.notes ?? '')) return `has the notes "${entry.notes ?? ''}", expected "${notes}"`;
  return undefined;
}
