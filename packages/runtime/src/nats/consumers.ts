import { isDeepStrictEqual } from 'node:util';
import { JetStreamApiError, jetstreamManager, type ConsumerConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { MeshError } from '../errors.ts';
import { CONSUMER_EXISTS, type ApiResponse } from './jetstream-errors.ts';

/** For one request, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** One token of a subject, as the server takes it for a name. */
const NAME = /^[^\s.*>/\\\p{Cc}]{1,64}$/u;

/** Settings of a durable consumer. */
export type ConsumerSettings = Partial<ConsumerConfig> & { durable_name: string };

/**
 * Creates a durable consumer, or brings its settings up to date. One that exists goes on where it was.
 *
 * A consumer is shared by all processes that use its name, maybe of several releases. So `filter_subjects` are added to those
 * of a consumer that exists, and a longer time to acknowledge stays.
 *
 * @param first what only a new one gets, such as where it begins
 * @param sharing `exact`: the filters are these and no others, whatever other processes ask for
 * @throws JetStreamApiError, MeshError `invalid_options`
 */
export async function ensureConsumer(
  connection: NatsConnection,
  domain: string | undefined,
  stream: string,
  settings: ConsumerSettings,
  first: Partial<ConsumerConfig> = {},
  sharing: 'add' | 'exact' = 'add',
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
    if (sharing === 'add' && lackOf(settings, config) === undefined) return;
    const wanted = sharing === 'add' ? shared(settings, config) : settings;
    const { filter_subject: _one, filter_subjects: _several, ...rest } = config;
    await putConsumer(connection, domain, 'update', stream, { ...rest, ...wanted });
  }
}

/** What a consumer lacks of its settings; undefined: nothing. It may have more filters, and more time to acknowledge. */
export function lackOf(settings: ConsumerSettings, found: Partial<ConsumerConfig>): string | undefined {
  const wanted = shared(settings, found);
  const keys = Object.keys(wanted) as (keyof ConsumerSettings)[];
  const missing = filtersOf(wanted).filter((filter) => !filtersOf(found).includes(filter));
  const isWider = filtersOf(wanted).length === 0 && filtersOf(found).length > 0;
  const lacks = keys
    .filter((key) => !NOT_COMPARED.has(key) && !isDeepStrictEqual(found[key] ?? false, wanted[key] ?? false))
    .map((key) => `${key} is ${JSON.stringify(found[key])}, expected ${JSON.stringify(wanted[key])}`);
  if (missing.length > 0 || isWider)
    lacks.unshift(`it does not deliver ${isWider ? 'everything' : missing.join(', ')}`);
  return lacks.length === 0 ? undefined : lacks.join('; ');
}

/** Filters are compared as sets; the rest names the consumer. */
const NOT_COMPARED: ReadonlySet<string> = new Set(['filter_subject', 'filter_subjects', 'description', 'durable_name']);

/** Settings that take nothing away from those who share the consumer already. */
function shared(settings: ConsumerSettings, found: Partial<ConsumerConfig>): ConsumerSettings {
  const { ack_wait: ackWait, filter_subjects: filters } = settings;
  const merged = { ...settings };
  if (ackWait !== undefined) merged.ack_wait = Math.max(ackWait, found.ack_wait ?? 0);
  // Without a filter it delivers everything already.
  if (filters !== undefined)
    merged.filter_subjects = filtersOf(found).length === 0 ? [] : union(filters, filtersOf(found));
  return merged;
}

function filtersOf({ filter_subject: one = '', filter_subjects: several = [] }: Partial<ConsumerConfig>): string[] {
  return one === '' ? several : [one];
}

/** Both lists, without what another filter covers: the server refuses filters that overlap. */
function union(one: readonly string[], other: readonly string[]): string[] {
  const all = [...new Set([...other, ...one])];
  return all.filter((filter) => !all.some((wider) => wider !== filter && covers(wider, filter)));
}

/** Whether a filter lets through all that another one does. Both have as many tokens, or the wider one ends in `>`. */
function covers(wider: string, filter: string): boolean {
  const tokens = filter.split('.');
  const pattern = wider.split('.');
  if (pattern.length !== tokens.length && pattern.at(-1) !== '>') return false;
  return pattern.every((token, at) => token === '>' || (at < tokens.length && (token === '*' || token === tokens[at])));
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
  config: ConsumerSettings,
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
