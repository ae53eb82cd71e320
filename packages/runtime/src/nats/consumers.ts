import { JetStreamApiError, jetstreamManager, type ConsumerConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { MeshError } from '../errors.ts';
import { CONSUMER_EXISTS, type ApiResponse } from './jetstream-errors.ts';

/** For one request, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** One token of a subject, as the server takes it for a name. */
const NAME = /^[^\s.*>/\\\p{Cc}]{1,64}$/u;

/**
 * Creates a durable consumer, or brings its settings up to date. One that exists goes on where it was.
 *
 * @param first what only a new one gets, such as where it begins
 * @throws JetStreamApiError, MeshError `invalid_options`
 */
export async function ensureConsumer(
  connection: NatsConnection,
  domain: string | undefined,
  stream: string,
  settings: Partial<ConsumerConfig> & { durable_name: string },
  first: Partial<ConsumerConfig> = {},
): Promise<void> {
  try {
    await putConsumer(connection, domain, 'create', stream, { ...first, ...settings });
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
    const manager = await jetstreamManager(connection, {
      checkAPI: false,
      ...(domain === undefined ? {} : { domain }),
    });
    const { config } = await manager.consumers.info(stream, settings.durable_name);
    await putConsumer(connection, domain, 'update', stream, { ...config, ...settings });
  }
}

/**
 * Creates or updates a durable consumer on the subject that names its stream and itself, which is what permissions are
 * given on. The JetStream module uses another subject when there are several filters.
 *
 * @throws JetStreamApiError, MeshError `invalid_options`
 */
async function putConsumer(
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
