import { encode, type JsonObject } from '@meshforge/protocol';
import type { z } from 'zod';
import { MeshError } from '../errors.ts';
import { requestPatiently, type Asking } from './patient-requester.ts';
import { queryResult } from './reply.ts';

/**
 * Asks until somebody knows.
 *
 * @param doubt what to do when the time is up; see `PatientRequest`
 * @returns undefined when there is no such thing
 * @throws MeshError `rejected` (the question was refused), `timeout`, `unavailable`, `protocol`
 */
export async function query<T>(
  { clock, requester, timeoutMs }: Asking,
  subject: string,
  question: JsonObject,
  schema: z.ZodType<T>,
  doubt = 'Nothing changed; ask again, or give it more time',
): Promise<T | undefined> {
  const what = `query ${subject}`;
  const request = { subject, body: encode(question), timeoutMs, what, doubt };
  const result = await requestPatiently(requester, clock, request, (message) => {
    const read = queryResult(message, schema);
    return !read.ok && read.refusal.code === 'unavailable'
      ? { done: false, why: read.refusal.reason }
      : { done: true, value: read };
  });
  if (result.ok) return result.value;
  const { code, reason } = result.refusal;
  if (code === 'not_found') return undefined;
  throw new MeshError({ code: 'rejected', message: `${what}: ${reason} (${code})`, details: result.refusal });
}
