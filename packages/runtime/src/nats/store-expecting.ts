import { readPublishAck, type PublishResult } from './jetstream-errors.ts';
import { rawHeaders } from './raw-headers.ts';
import type { RequestPort } from './requester.ts';

/** Stores a message if the last one of its subject is still at the expected sequence; 0 = there is none. */
export async function storeExpecting(
  requester: RequestPort,
  sequence: number,
  message: { subject: string; body: Uint8Array; lines: readonly (readonly [name: string, value: string])[] },
): Promise<PublishResult> {
  const { body, lines, subject } = message;
  const headers = rawHeaders([...lines, ['Nats-Expected-Last-Subject-Sequence', String(sequence)]]);
  return readPublishAck(await requester.request(subject, body, headers));
}
