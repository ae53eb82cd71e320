import { decidedFilter, decidedSubject, delayedCommandSubject } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import { digestOf } from '../nats/digest.ts';
import { expecting, NO_SEQUENCE } from '../nats/expecting.ts';
import { apiResponse, readPublishAck } from '../nats/jetstream-errors.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import { requestPatiently, type Asking, type Judgement } from './patient-requester.ts';

/** How long a cancellation stays: an agent that was down meanwhile may find the command, if its time came in that moment. */
const TTL = '3600s';
const WRONG_LAST_SEQUENCE = /^wrong last sequence: (\d+)$/;
const NOTHING = new Uint8Array();

/**
 * Takes a command back that was sent for later. Canceller and agent each write down what becomes of it, where the server lets
 * one of them be first; so it is certain, also in the moment in which its time comes. To look at the schedule alone would not
 * do: a replicated stream takes a change of it in while the schedule is firing (measured). Each decision has a subject of its
 * own, so that whoever loses an acknowledgement sees whose decision stands, without the right to read.
 */
export async function cancelDelayed(
  asking: Asking,
  agent: string,
  { commandId, entityId }: { commandId: string; entityId: string },
): Promise<boolean> {
  const key = digestOf(commandId);
  const schedule = delayedCommandSubject(agent, entityId, key);
  const what = `the cancellation of command ${commandId} (${schedule})`;
  const standing = await sequenceOf(asking, schedule, what);
  if (standing === 0) return await isCancelled(asking, agent, commandId);
  const cancelled = decidedSubject(agent, key, 'cancelled');
  const decided = await store(asking, cancelled, what, ...expecting(0, decidedFilter(agent, key)));
  if (decided !== 'stored' && !(await isCancelled(asking, agent, commandId))) return false;
  // Should it fire meanwhile, whoever would execute it finds what was decided.
  await store(asking, schedule, what, ['Nats-Rollup', 'sub'], ...expecting(standing));
  return true;
}

/** Whether a delayed command was cancelled within the last hour. */
export async function isCancelled(asking: Asking, agent: string, commandId: string): Promise<boolean> {
  const cancelled = decidedSubject(agent, digestOf(commandId), 'cancelled');
  return (await sequenceOf(asking, cancelled, `whether command ${commandId} was cancelled (${cancelled})`)) > 0;
}

/** Of the message that stands on a subject; 0 = there is none. */
async function sequenceOf(asking: Asking, subject: string, what: string): Promise<number> {
  const found = await store(asking, subject, what, ...expecting(NO_SEQUENCE));
  return found === 'stored' ? 0 : found.sequence;
}

function store(
  { clock, requester, timeoutMs }: Asking,
  subject: string,
  what: string,
  ...lines: (readonly [string, string])[]
): Promise<Stored> {
  const headers = rawHeaders([['Nats-TTL', TTL], ...lines]);
  const request = { subject, body: NOTHING, headers, timeoutMs, what, doubt: DOUBT };
  return requestPatiently(requester, clock, request, storedOrSequence);
}

const DOUBT = 'It may be cancelled; ask again';

type Stored = 'stored' | { sequence: number };

function storedOrSequence(message: Msg): Judgement<Stored> {
  const ack = readPublishAck({ kind: 'answer', message });
  if (ack.kind === 'stored') return { done: true, value: 'stored' };
  if (ack.kind === 'lost_race') {
    const description = apiResponse(message)?.error?.description;
    const sequence = WRONG_LAST_SEQUENCE.exec(description ?? '')?.[1];
    if (sequence !== undefined) return { done: true, value: { sequence: Number(sequence) } };
  }
  return { done: false, why: 'why' in ack ? ack.why : 'another write is under way' };
}
