import { commandStream, decidedFilter, decidedSubject, delayedCommandSubject } from '@meshforge/protocol';
import { expecting, storeExpecting } from '../nats/expecting.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { lastMessage } from '../nats/stored-messages.ts';
import type { QueuedMessage } from './tenure.ts';

/** How long it stays that one is executed: longer than a cancellation may be under way. */
const TTL = '60s';
const NOTHING = new Uint8Array();

/**
 * Whether a command that was delayed, and whose time has come, was cancelled; if not, it can not be any more.
 * @throws NoAnswerError: it could not be decided
 */
export async function wasCancelled(
  requester: RequestPort,
  agent: string,
  { headers }: QueuedMessage,
): Promise<boolean> {
  // The server names the schedule that it has fired.
  const schedule = headers?.get('Nats-Scheduler') ?? '';
  const key = schedule.slice(schedule.lastIndexOf('.') + 1);
  if (schedule === '' || !/^[\w-]{1,64}$/.test(key) || schedule !== delayedCommandSubject(agent, key)) return false;
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
