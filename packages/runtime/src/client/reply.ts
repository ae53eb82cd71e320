import { decode, HEADERS, readOutcome, ReplyBody, type Outcome, type RejectedPayload } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import type { z } from 'zod';
import { MeshError } from '../errors.ts';

/** The outcome that a reply tells of. @throws MeshError `protocol` */
export function outcomeOf(message: Msg): Outcome {
  const reply = decode(ReplyBody, message.data);
  const replayed = message.headers?.get(HEADERS.replayed) === 'true';
  const outcome = reply.ok ? readOutcome(reply.value, replayed) : undefined;
  if (outcome !== undefined) return outcome;
  throw new MeshError({
    code: 'protocol',
    message: `the answer on ${message.subject} is no reply of MeshForge: ${reply.ok ? reply.value.event : reply.reason}`,
  });
}

/** The result of a query, or the refusal that came instead. @throws MeshError `protocol` */
export function queryResult<T>(
  message: Msg,
  schema: z.ZodType<T>,
): { ok: true; value: T } | { ok: false; refusal: RejectedPayload } {
  if (message.headers?.has(HEADERS.errorCode) !== true) {
    const result = decode(schema, message.data);
    if (result.ok) return result;
    throw new MeshError({ code: 'protocol', message: `the answer to a query is none of MeshForge: ${result.reason}` });
  }
  const outcome = outcomeOf(message);
  if ('code' in outcome.payload && 'action' in outcome.payload) {
    return { ok: false, refusal: outcome.payload as RejectedPayload };
  }
  throw new MeshError({ code: 'protocol', message: 'a query was answered with an error that is no rejection' });
}
