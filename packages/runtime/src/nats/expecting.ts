import { readPublishAck, type PublishResult } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';

export type HeaderLine = readonly [name: string, value: string];

/** No stream gets this far: what expects it is never stored, and the refusal says what stands there. */
export const NO_SEQUENCE = Number.MAX_SAFE_INTEGER;

/**
 * The headers of a compare-and-set: the last message of a subject is at that sequence; 0 = there is none.
 * @param of that subject, or a filter over several; default the message's own
 */
export function expecting(sequence: number, of?: string): HeaderLine[] {
  const lines: HeaderLine[] = [['Nats-Expected-Last-Subject-Sequence', String(sequence)]];
  if (of !== undefined) lines.push(['Nats-Expected-Last-Subject-Sequence-Subject', of]);
  return lines;
}

/** Stores a message once. @param lines its headers, those of {@link expecting} among them */
export async function storeExpecting(
  requester: RequestPort,
  subject: string,
  body: Uint8Array,
  lines: readonly HeaderLine[],
): Promise<PublishResult> {
  return readPublishAck(await requester.request(subject, body, rawHeaders(lines)));
}
