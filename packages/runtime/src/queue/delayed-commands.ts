import { commandStream, decidedSubject, delayedCommandSubject } from '@meshforge/protocol';
import { CANCELLED } from '../client/cancel.ts';
import { readPublishAck } from '../nats/jetstream-errors.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import type { RequestPort } from '../nats/requester.ts';
import { utf8 } from '../nats/utf8.ts';
import { lastMessage } from '../nats/stored-messages.ts';
import type { QueuedMessage } from './tenure.ts';

const EXECUTED = 'executed';
/** How long that stays, in seconds: longer than a cancellation may be under way. */
const EXECUTED_S = 60;

/**
 * Whether a command whose time has come was cancelled; if not, it can not be any more. Undefined: it was not delayed.
 * @throws NoAnswerError, Error: it could not be decided
 */
export async function wasCancelled(
  requester: RequestPort,
  agent: string,
  { headers }: QueuedMessage,
): Promise<boolean | undefined> {
  // The server names the schedule that it has fired.
  const schedule = headers?.get('Nats-Scheduler') ?? '';
  const key = schedule.slice(schedule.lastIndexOf('.') + 1);
  if (schedule === '' || !/^[\w-]{1,64}$/.test(key) || schedule !== delayedCommandSubject(agent, key)) return undefined;
  const subject = decidedSubject(agent, key);
  const lines: [string, string][] = [
    ['Nats-TTL', `${EXECUTED_S}s`],
    ['Nats-Expected-Last-Subject-Sequence', '0'],
  ];
  const ack = readPublishAck(await requester.request(subject, utf8(EXECUTED), rawHeaders(lines)));
  if (ack.kind === 'stored') return false;
  if (ack.kind !== 'lost_race') throw new Error(`it could not be decided: ${'why' in ack ? ack.why : ack.kind}`);
  const decided = await lastMessage(requester, commandStream(agent), subject);
  if (decided === undefined) throw new Error('it is being decided');
  return Buffer.from(decided.data).toString() === CANCELLED;
}
