import { apiResponse, CONSUMER_NOT_FOUND, STREAM_NOT_FOUND } from '../jetstream-errors.ts';
import type { RequestPort } from '../requester.ts';

/** What one look at a stream or consumer shows. */
export type Look =
  | Found
  /** The server says that it does not exist. */
  | { kind: 'missing'; what: 'stream' | 'consumer' }
  /** Nobody says anything about it for the moment. */
  | { kind: 'unanswered'; why: string };

export interface Found {
  kind: 'found';
  /** RFC 3339. A restored stream or consumer is as new as a recreated one. */
  created: string;
  /** The server that leads it; a server alone names its current run. */
  leader: string;
  /** The rest is 0 for a consumer. */
  replicas: number;
  messages: number;
  lastSequence: number;
  config: object;
}

interface Info {
  created: string;
  cluster: { leader?: string };
  config: { num_replicas?: number };
  state: { messages: number; last_seq: number };
}

const NOTHING = new Uint8Array();
/** A request to a stream that is deleted in this moment is never answered. */
const TIMEOUT_MS = 2_000;

/**
 * Asks the leader of a stream or of a consumer about it.
 * @param api prefix of JetStream's subjects, such as `$JS.API`
 */
export async function lookAt(
  requester: Pick<RequestPort, 'request'>,
  api: string,
  { consumer, stream }: { stream: string; consumer?: string | undefined },
): Promise<Look> {
  const subject = consumer === undefined ? `STREAM.INFO.${stream}` : `CONSUMER.INFO.${stream}.${consumer}`;
  const answer = await requester.request(`${api}.${subject}`, NOTHING, undefined, TIMEOUT_MS);
  if (answer.kind !== 'answer') return { kind: 'unanswered', why: answer.why };
  if (answer.message.data.length === 0) return { kind: 'unanswered', why: 'JetStream does not answer' };
  const response = apiResponse<Info>(answer.message);
  if (response === undefined) return { kind: 'unanswered', why: 'the answer is none of JetStream' };
  const { cluster, config = {}, created = '', error, state } = response;
  if (error?.err_code === STREAM_NOT_FOUND) return { kind: 'missing', what: 'stream' };
  if (error?.err_code === CONSUMER_NOT_FOUND) return { kind: 'missing', what: 'consumer' };
  if (error !== undefined) return { kind: 'unanswered', why: error.description };
  return {
    kind: 'found',
    created,
    leader: cluster?.leader ?? '',
    replicas: config.num_replicas ?? 0,
    messages: state?.messages ?? 0,
    lastSequence: state?.last_seq ?? 0,
    config,
  };
}
