import { entityFilter, entityStream, HEADERS, parseSubject } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import { listCommands, readRecent } from '../core/recent.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { utf8 } from './utf8.ts';

/** An expiry as its log has it. */
export interface Expiry {
  agent: string;
  entityId: string;
  version: number;
  sequence: number;
}

/**
 * Whether an expiry counts. The server writes one without a look at what came meanwhile: it is void if a higher version is
 * before it. One that is older than what the entity remembers, so that nobody can say, counts.
 *
 * @param api prefix of JetStream's API @throws NoAnswerError
 */
export async function isCountedExpiry(requester: RequestPort, expiry: Expiry, api = '$JS.API'): Promise<boolean> {
  const { agent, entityId, sequence, version } = expiry;
  const stream = entityStream(agent);
  const question = utf8(JSON.stringify({ multi_last: [entityFilter(agent, entityId)] }));
  const answer = await requester.requestBatch(`${api}.DIRECT.GET.${stream}`, question);
  if (answer.kind !== 'answer') throw new NoAnswerError(stream, answer.why);
  const found = answer.messages.filter(({ headers }) => (headers?.code ?? 0) === 0).map(placeOf);
  // A server that lags may not have what was before the expiry either.
  if (!found.some((place) => place.sequence >= sequence))
    throw new NoAnswerError(stream, 'the server that answers lags');
  const isLater = (other: { version: number; sequence: number }): boolean =>
    other.version > version && other.sequence < sequence;
  if (found.some((place) => !place.isExpiry && isLater(place))) return false;
  const newest = found.reduce((one, other) => (one.sequence > other.sequence ? one : other));
  return newest.recent === '' || !listCommands(readRecent(newest.recent)).some(isLater);
}

/** What a message of an entity's log says of itself. */
function placeOf({ data, headers }: Msg): { version: number; sequence: number; isExpiry: boolean; recent: string } {
  const parsed = parseSubject(headers?.get('Nats-Subject') ?? '');
  const { entity_version: version } = JSON.parse(new TextDecoder().decode(data)) as { entity_version: number };
  return {
    version,
    sequence: Number(headers?.get('Nats-Sequence')),
    isExpiry: parsed?.kind === 'entity' && parsed.slot === 'x',
    recent: headers?.get(HEADERS.recent) ?? '',
  };
}
