import { decidedSubject, delayedCommandSubject } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import { digestOf } from '../nats/digest.ts';
import { apiResponse, readPublishAck } from '../nats/jetstream-errors.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import { utf8 } from '../nats/utf8.ts';
import { requestPatiently, type Asking, type Judgement } from './patient-requester.ts';

/** What is written down of a delayed command that was cancelled. */
export const CANCELLED = 'cancelled';
/** How long that stays, in seconds: an agent that was down meanwhile may find the command, if its time came in that moment. */
const CANCELLED_S = 3_600;
/** No sequence is so high: what expects it stores nothing, and is told which one there is. */
const NO_SEQUENCE = Number.MAX_SAFE_INTEGER;
const WRONG_LAST_SEQUENCE = /^wrong last sequence: (\d+)$/;

/**
 * Takes a command back that was sent for later. Canceller and agent write down what becomes of it under one subject, where
 * the server lets one of them be first; so it is certain, also in the moment in which its time comes. To
 * look at the schedule alone would not do: a replicated stream takes a change of it in while the schedule is firing (measured).
 */
export async function cancelDelayed(asking: Asking, agent: string, commandId: string): Promise<boolean> {
  const key = digestOf(commandId);
  const schedule = delayedCommandSubject(agent, key);
  const what = `the cancellation of command ${commandId} (${schedule})`;
  const store = (subject: string, expected: number, text: string): Promise<Stored> => {
    const headers = rawHeaders([
      ['Nats-Rollup', 'sub'],
      ['Nats-TTL', `${CANCELLED_S}s`],
      ['Nats-Expected-Last-Subject-Sequence', String(expected)],
    ]);
    const request = { subject, body: utf8(text), headers, timeoutMs: asking.timeoutMs, what, doubt: DOUBT };
    return requestPatiently(asking.requester, asking.clock, request, storedOrSequence);
  };
  const sequence = async (): Promise<number> => {
    const found = await store(schedule, NO_SEQUENCE, '');
    return found === 'stored' ? 0 : found.sequence;
  };
  let standing = await sequence();
  if (standing === 0) return false;
  // Not the first: either it is executed, and then the schedule is gone, or it was cancelled before.
  if ((await store(decidedSubject(agent, key), 0, CANCELLED)) !== 'stored') standing = await sequence();
  // Should it fire meanwhile, whoever would execute it finds what was decided.
  if (standing > 0) await store(schedule, standing, '');
  return standing > 0;
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
