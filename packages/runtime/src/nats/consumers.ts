import { JetStreamApiError, type ConsumerConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { MeshError } from '../errors.ts';
import type { ApiResponse } from './jetstream-errors.ts';

/** For one request, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** One token of a subject, as the server takes it for a name. */
const NAME = /^[^\s.*>/\\\p{Cc}]{1,64}$/u;

/**
 * Creates or updates a durable consumer on the subject that names its stream and itself, which is what permissions are
 * given on. The JetStream module uses another subject when there are several filters.
 *
 * @throws JetStreamApiError, MeshError `invalid_options`
 */
export async function putConsumer(
  connection: NatsConnection,
  domain: string | undefined,
  action: 'create' | 'update',
  stream: string,
  config: Partial<ConsumerConfig> & { durable_name: string },
): Promise<void> {
  const name = config.durable_name;
  if (!NAME.test(name)) {
    throw new MeshError({
      code: 'invalid_options',
      message: `durable is ${JSON.stringify(name)}: expected 1 to 64 characters, no white space and none of . * > / \\`,
    });
  }
  const api = domain === undefined ? '$JS.API' : `$JS.${domain}.API`;
  const request = JSON.stringify({ stream_name: stream, config: { ...config, name }, action });
  const subject = `${api}.CONSUMER.CREATE.${stream}.${name}`;
  const answer = (await connection.request(subject, request, { timeout: TIMEOUT_MS })).json<ApiResponse>();
  if (answer.error !== undefined) throw new JetStreamApiError(answer.error);
}
