import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { Answer, Exchange, Requester } from '../nats/requester.ts';

/** Longest pause between two tries, in milliseconds. */
const MAX_PAUSE_MS = 500;
/** With less time left, in milliseconds, another try would only make an answer uncertain that was certain. */
const LAST_TRY_MS = 100;
const NO_RESPONDERS = 503;

/** By what a client asks, and how long, in milliseconds. */
export interface Asking {
  requester: Requester;
  clock: Clock;
  timeoutMs: number;
}

export type Judgement<T> = { done: true; value: T } | { done: false; why: string };

/** One message, and what to say of it when nothing comes back. */
export interface PatientRequest {
  subject: string;
  body: Uint8Array;
  headers?: MsgHdrs;
  timeoutMs: number;
  /** For one try, in milliseconds; default that of the requester. */
  tryTimeoutMs?: number | undefined;
  /** Where the first try goes instead, and for how long, in milliseconds; told when it brought no outcome. */
  first?: { subject: string; timeoutMs: number; onFailure: (why: Answer['kind']) => void } | undefined;
  /** `query qry.inventory.get` */
  what: string;
  /** What may be so, and what to do, when it had no definite answer. */
  doubt: string;
}

/**
 * Sends one message until it has a definite answer, the time is up, or the requester is closed. The same bytes each time, and the
 * same inbox: a command carries its id, so it commits at most once however often it is sent, and the first answer counts.
 *
 * @param judge reads an answer; `done: false` means "not now", and nothing has changed. `wasLost`: an earlier try had no
 *   answer, so it may have been carried out.
 * @throws MeshError `timeout` when some try may have been carried out, `unavailable` when certainly none was
 */
export async function requestPatiently<T>(
  requester: Requester,
  clock: Clock,
  request: PatientRequest,
  judge: (message: Msg, wasLost: boolean) => Judgement<T>,
): Promise<T> {
  const exchange = requester.exchange();
  try {
    return await askPatiently(requester, exchange, clock, request, judge);
  } finally {
    exchange.end();
  }
}

async function askPatiently<T>(
  requester: Requester,
  exchange: Exchange,
  clock: Clock,
  request: PatientRequest,
  judge: (message: Msg, wasLost: boolean) => Judgement<T>,
): Promise<T> {
  const deadline = clock.monotonic() + request.timeoutMs;
  let lost = false;
  let why = 'no answer';
  for (let tries = 1; ; tries++) {
    const left = deadline - clock.monotonic();
    if (left <= 0 || (tries > 1 && left < LAST_TRY_MS)) break;
    const { body, headers, tryTimeoutMs = requester.timeoutMs } = request;
    const first = tries === 1 ? request.first : undefined;
    const subject = first?.subject ?? request.subject;
    const patienceMs = Math.min(left, tryTimeoutMs, first?.timeoutMs ?? Infinity);
    const answer = await exchange.send(subject, body, headers, patienceMs);
    if (answer.kind === 'answer') {
      if (answer.message.data.length === 0 && answer.message.headers?.code === NO_RESPONDERS) {
        why = 'nobody serves it';
      } else {
        const judgement = judge(answer.message, lost);
        if (judgement.done) return judgement.value;
        why = judgement.why;
      }
    } else {
      lost ||= answer.kind === 'lost';
      why = answer.why;
    }
    first?.onFailure(answer.kind);
    // What the client cannot send, such as a body above the server's limit, it cannot send later either.
    if (answer.kind === 'unsent' || requester.isClosed) break;
    if (first !== undefined) continue;
    const pause = clock.random() * Math.min(MAX_PAUSE_MS, 20 * 2 ** Math.min(tries, 6));
    await clock.sleep(Math.min(pause, Math.max(0, deadline - clock.monotonic())));
  }
  const within = requester.isClosed ? 'before the client was closed' : `within ${request.timeoutMs} ms`;
  throw new MeshError({
    code: lost ? 'timeout' : 'unavailable',
    message: lost
      ? `${request.what} had no definite answer ${within} (${why}). ${request.doubt}`
      : `${request.what} could not be carried out ${within}: ${why}. Nothing changed`,
    details: { subject: request.subject, timeoutMs: request.timeoutMs },
  });
}
