/** JetStream's API: what is asked on `$JS.API.>` and how it is answered. */
import { textOf } from '../message.ts';
import type { ConsumerSettings, StreamSettings } from './config.ts';
import type { Consumer } from './consumer.ts';
import { API_ERRORS, invalidJson, purgeFailed, sequenceNotFound, type ApiError } from './errors.ts';
import type { JetStream } from './jetstream.ts';
import { messageGet, type View } from './reads.ts';
import type { Stream } from './stream.ts';
import { timeOf } from './times.ts';

/** Subjects in one answer. */
const PAGE = 100_000;

export interface ApiCall {
  /** Behind `$JS.API.` */
  readonly tokens: readonly string[];
  readonly data: Uint8Array;
  /** Answers the call; without a call to it there is no answer. */
  readonly answer: (body: object) => void;
}

/** What the API knows of the cluster. */
export interface ApiCluster {
  /** Of a stream: who leads it, and who follows. Undefined for a server that stands alone. */
  describe(stream: Stream): object | undefined;
  /** The messages of a stream as the server has them that takes itself for its leader. */
  leaderView(stream: Stream): View;
}

interface Body {
  [key: string]: unknown;
}

export class Api {
  readonly #jetstream: JetStream;
  readonly #cluster: ApiCluster;

  constructor(jetstream: JetStream, cluster: ApiCluster) {
    this.#jetstream = jetstream;
    this.#cluster = cluster;
  }

  /** @returns whether there is such an API */
  call({ answer, data, tokens }: ApiCall): boolean {
    const [area = '', verb = '', ...rest] = tokens;
    const type = `io.nats.jetstream.api.v1.${area.toLowerCase()}_${verb.toLowerCase().replace('.', '_')}_response`;
    const tell = (body: object): void => answer({ type, ...body });
    const fail = (error: ApiError): void => tell({ error });
    const body = data.length === 0 ? {} : parse(data);
    if (body === undefined) return (fail(invalidJson('unexpected token')), true);
    switch (area) {
      case 'INFO':
        answer({ type: 'io.nats.jetstream.api.v1.account_info_response', ...this.#account() });
        return true;
      case 'STREAM':
        return this.#stream(verb, rest, body, data, tell, fail);
      case 'CONSUMER':
        return this.#consumer(verb, rest, body, tell, fail);
      default:
        return false;
    }
  }

  #account(): object {
    const streams = [...this.#jetstream.streams.values()];
    const consumers = streams.reduce((sum, stream) => sum + stream.consumers.size, 0);
    const limits = { max_memory: -1, max_storage: -1, max_streams: -1, max_consumers: -1 };
    return { memory: 0, storage: 0, streams: streams.length, consumers, limits, api: { total: 0, errors: 0 } };
  }

  #stream(
    verb: string,
    [first = '', second = '']: readonly string[],
    body: Body,
    data: Uint8Array,
    tell: (body: object) => void,
    fail: (error: ApiError) => void,
  ): boolean {
    const { streams } = this.#jetstream;
    const isMessage = verb === 'MSG';
    const name = isMessage ? second : first;
    const stream = streams.get(name);
    switch (isMessage ? `MSG.${first}` : verb) {
      case 'CREATE':
      case 'UPDATE': {
        const settings = { ...body, name } as Partial<StreamSettings> & { name: string };
        const result =
          verb === 'CREATE' ? this.#jetstream.createStream(settings) : this.#jetstream.updateStream(settings);
        if ('error' in result) fail(result.error);
        else tell({ ...this.#infoOf(result.made), did_create: verb === 'CREATE' });
        return true;
      }
      case 'NAMES':
        tell({ total: streams.size, offset: 0, limit: 1_024, streams: [...streams.keys()] });
        return true;
      case 'LIST':
        tell({
          total: streams.size,
          offset: 0,
          limit: 256,
          streams: [...streams.values()].map((each) => this.#infoOf(each)),
        });
        return true;
      case 'INFO':
        if (stream === undefined) fail(API_ERRORS.streamNotFound);
        else if (stream.isLed) tell({ ...pageOf(stream, body), ...this.#infoOf(stream, body) });
        return true;
      case 'DELETE':
        if (this.#jetstream.deleteStream(name)) tell({ success: true });
        else fail(API_ERRORS.streamNotFound);
        return true;
      case 'PURGE':
        if (stream === undefined) fail(API_ERRORS.streamNotFound);
        else if (stream.settings.deny_purge) fail(purgeFailed('stream purge not permitted'));
        else if (stream.isLed) {
          const { filter = '', keep = 0, seq: sequence = 0 } = body as { filter?: string; keep?: number; seq?: number };
          stream.purge({ filter, keep, sequence }, (purged) => tell({ success: true, purged }));
        }
        return true;
      case 'MSG.GET':
        if (stream === undefined) fail(API_ERRORS.streamNotFound);
        else if (!stream.isLed) fail(API_ERRORS.notAvailable);
        else tell(messageGet(this.#cluster.leaderView(stream), data));
        return true;
      case 'MSG.DELETE':
        if (stream === undefined) fail(API_ERRORS.streamNotFound);
        else if (!stream.isLed) fail(API_ERRORS.notAvailable);
        else {
          const sequence = Number(body['seq'] ?? 0);
          if (sequence === 0) fail(sequenceNotFound(0));
          else stream.deleteMessage(sequence, (error) => (error === undefined ? tell({ success: true }) : fail(error)));
        }
        return true;
      default:
        return false;
    }
  }

  #consumer(
    verb: string,
    [name = '', consumerName = '']: readonly string[],
    body: Body,
    tell: (body: object) => void,
    fail: (error: ApiError) => void,
  ): boolean {
    const stream = this.#jetstream.streams.get(name);
    const consumer = stream?.consumers.get(consumerName);
    if (stream === undefined) return (fail(API_ERRORS.streamNotFound), true);
    switch (verb) {
      case 'CREATE':
      case 'DURABLE': {
        const { action = '', config = {} } = body as { action?: 'create' | 'update' | ''; config?: object };
        const named = consumerName === '' ? {} : { name: consumerName };
        const wanted = { ...config, ...named } as Partial<ConsumerSettings>;
        const result = this.#jetstream.createConsumer(name, wanted, action);
        if ('error' in result) fail(result.error);
        else tell(this.#infoOfConsumer(result.made));
        return true;
      }
      case 'NAMES':
        tell({ total: stream.consumers.size, offset: 0, limit: 1_024, consumers: [...stream.consumers.keys()] });
        return true;
      case 'LIST':
        tell({
          total: stream.consumers.size,
          offset: 0,
          limit: 256,
          consumers: [...stream.consumers.values()].map((each) => this.#infoOfConsumer(each)),
        });
        return true;
      case 'INFO':
        if (consumer === undefined) fail(API_ERRORS.consumerNotFound);
        else if (consumer.isLed) tell(this.#infoOfConsumer(consumer));
        return true;
      case 'DELETE':
        if (this.#jetstream.deleteConsumer(name, consumerName)) tell({ success: true });
        else fail(API_ERRORS.consumerNotFound);
        return true;
      case 'UNPIN':
        if (consumer === undefined) fail(API_ERRORS.consumerNotFound);
        else if (consumer.settings.priority_groups?.includes(String(body['group'])) !== true) {
          fail(API_ERRORS.invalidGroup);
        } else if (consumer.isLed) {
          consumer.unpin(String(body['group']));
          tell({});
        }
        return true;
      case 'RESET':
        if (consumer === undefined) return false;
        if (consumer.isLed) {
          const from = consumer.reset(Number(body['seq'] ?? 0));
          tell({ ...this.#infoOfConsumer(consumer), reset_seq: from });
        }
        return true;
      default:
        return false;
    }
  }

  #infoOf(stream: Stream, body: Body = {}): object {
    const { created, settings, store } = stream;
    if (body['deleted_details'] === true) throw new TypeError('not modelled: details of deleted messages');
    const first = store.at(store.firstSequence);
    const last = store.at(store.lastSequence);
    const offset = Number(body['offset'] ?? 0);
    const subjects = subjectsOf(stream, body)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .slice(offset, offset + PAGE);
    const cluster = this.#cluster.describe(stream);
    return {
      config: settings,
      created: timeOf(created),
      state: {
        messages: store.count,
        bytes: store.bytes,
        first_seq: store.firstSequence,
        first_ts: timeOf(first === undefined ? 0 : first.micros / 1_000),
        last_seq: store.lastSequence,
        last_ts: timeOf(last === undefined ? 0 : last.micros / 1_000),
        ...(store.count === 0 ? {} : { num_subjects: store.subjects('>').size }),
        consumer_count: stream.consumers.size,
        ...(subjects.length === 0 ? {} : { subjects: Object.fromEntries(subjects) }),
      },
      ...(cluster === undefined ? {} : { cluster }),
      ts: timeOf(this.#jetstream.around.time.now),
    };
  }

  #infoOfConsumer(consumer: Consumer): object {
    const cluster = this.#cluster.describe(consumer.stream);
    return { ...consumer.info, ...(cluster === undefined ? {} : { cluster }) };
  }
}

/** The subjects that an info asks for, and how many messages each has. */
function subjectsOf({ store }: Stream, body: Body): [subject: string, count: number][] {
  const filter = body['subjects_filter'] ?? '';
  return typeof filter === 'string' && filter !== '' ? [...store.subjects(filter)] : [];
}

function pageOf(stream: Stream, body: Body): object {
  const total = subjectsOf(stream, body).length;
  return total === 0 ? { total, offset: 0, limit: 0 } : { total, offset: Number(body['offset'] ?? 0), limit: PAGE };
}

function parse(data: Uint8Array): Body | undefined {
  try {
    return JSON.parse(textOf(data)) as Body;
  } catch {
    return undefined;
  }
}
