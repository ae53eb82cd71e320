import { commandStream, decidedFilter, decidedSubject, parseSubject } from '@meshforge/protocol';
import { expecting, storeExpecting } from '../nats/expecting.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { lastMessage } from '../nats/stored-messages.ts';
import { headerOf, type QueuedMessage } from './delivery.ts';

/** How long it stays that one is executed: longer than a cancellation may be under way. */
const TTL = '60s';
const NOTHING = new Uint8Array();

/**
 * The delayed command that the server has made this one of, when its time came. Whoever may send a command may have the server
 * store any message of the stream: `foreign` is what no delayed command to the same entity has led to.
 */
export function scheduleOf(
  queued: { agent: string; entityId: string },
  message: QueuedMessage,
): { kind: 'none' } | { kind: 'delayed'; key: string } | { kind: 'foreign'; subject: string } {
  const subject = headerOf(message, 'Nats-Scheduler');
  if (subject === '') return { kind: 'none' };
  const delayed = parseSubject(subject);
  const isOwn = delayed?.kind === 'delayed' && delayed.agent === queued.agent && delayed.entityId === queued.entityId;
  return isOwn ? { kind: 'delayed', key: delayed.key } : { kind: 'foreign', subject };
}

/**
 * Whether a command that was delayed, and whose time has come, was cancelled; if not, it can not be any more.
 * @throws NoAnswerError: it could not be decided
 */
export async function wasCancelled(requester: RequestPort, agent: string, key: string): Promise<boolean> {
  const stream = commandStream(agent);
  const decisions = decidedFilter(agent, key);
  const lines = [['Nats-TTL', TTL] as const, ...expecting(0, decisions)];
  const ack = await storeExpecting(requester, decidedSubject(agent, key, 'executed'), NOTHING, lines);
  if (ack.kind === 'stored') return false;
  if (ack.kind !== 'lost_race') throw new NoAnswerError(stream, 'why' in ack ? ack.why : ack.kind);
  const decided = await lastMessage(requester, stream, decisions);
  if (decided === undefined) throw new NoAnswerError(stream, 'another decision is under way');
  return decided.subject === decidedSubject(agent, key, 'cancelled');
}
