import { commandStream, decidedSubject, delayedCommandSubject } from '@meshforge/protocol';
import { CANCELLED } from '../client/cancel.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import { storeExpecting } from '../nats/store-expecting.ts';
import type { RequestPort } from '../nats/requester.ts';
import { utf8 } from '../nats/utf8.ts';
import { lastMessage } from '../nats/stored-messages.ts';
import type { QueuedMessage } from './tenure.ts';

const EXECUTED = 'executed';
/** How long that stays, in seconds: longer than a cancellation may be under way. */
const EXECUTED_S = 60;

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
  const subject = decidedSubject(agent, key);
  const lines = [['Nats-TTL', `${EXECUTED_S}s`]] as const;
  const ack = await storeExpecting(requester, 0, { subject, body: utf8(EXECUTED), lines });
  if (ack.kind === 'stored') return false;
  if (ack.kind !== 'lost_race') throw new NoAnswerError(stream, 'why' in ack ? ack.why : ack.kind);
  const decided = await lastMessage(requester, stream, subject);
  if (decided === undefined) throw new NoAnswerError(stream, 'another decision is under way');
  return Buffer.from(decided.data).toString() === CANCELLED;
}
