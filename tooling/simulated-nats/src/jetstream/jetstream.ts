import type { Wire } from '../message.ts';
import { advisory } from './advisories.ts';
import { consumerSettings, streamSettings, type ConsumerSettings, type StreamSettings } from './config.ts';
import type { ConsumerState } from './consumer-state.ts';
import { Consumer } from './consumer.ts';
import { API_ERRORS, type ApiError } from './errors.ts';
import { areSame, wrongConsumer, wrongStream, wrongStreamUpdate } from './settings-checks.ts';
import type { StoredMessage } from './store.ts';
import { Stream } from './stream.ts';
import type { Surroundings } from './surroundings.ts';

/** What `nats stream backup` writes. */
export interface StreamBackup {
  readonly settings: StreamSettings;
  readonly messages: readonly StoredMessage[];
  readonly lastSequence: number;
  readonly consumers: readonly { settings: ConsumerSettings; state: ConsumerState }[];
}

export type Made<T> = { made: T; isNew: boolean } | { error: ApiError };

/** The streams of the servers, and their consumers. */
export class JetStream {
  readonly streams = new Map<string, Stream>();
  readonly around: Surroundings;
  #capturing = new Map<string, Stream | undefined>();
  #names = 0;

  constructor(around: Surroundings) {
    this.around = around;
  }

  /** The stream that stores what is published there. */
  capturing(subject: string): Stream | undefined {
    if (this.#capturing.has(subject)) return this.#capturing.get(subject);
    const found = [...this.streams.values()].find((stream) => stream.captures(subject));
    if (this.#capturing.size > 5_000) this.#capturing.clear();
    this.#capturing.set(subject, found);
    return found;
  }

  consumer(stream: string, name: string): Consumer | undefined {
    return this.streams.get(stream)?.consumers.get(name);
  }

  createStream(wanted: Partial<StreamSettings> & { name: string }): Made<Stream> {
    const settings = streamSettings(wanted);
    const existing = this.streams.get(settings.name);
    if (existing !== undefined) {
      const isSame = areSame(existing.settings, settings);
      return isSame ? { made: existing, isNew: false } : { error: API_ERRORS.streamNameInUse };
    }
    const wrong = wrongStream(settings, this.#subjectsBeside(settings.name));
    if (wrong !== undefined) return { error: wrong };
    const stream = new Stream(settings, this.around);
    this.streams.set(settings.name, stream);
    this.#capturing.clear();
    advisory(this.around, 'stream_created', settings.name);
    return { made: stream, isNew: true };
  }

  updateStream(wanted: Partial<StreamSettings> & { name: string }): Made<Stream> {
    const stream = this.streams.get(wanted.name);
    if (stream === undefined) return { error: API_ERRORS.streamNotFound };
    const settings = streamSettings({ ...wanted, num_replicas: wanted.num_replicas ?? stream.settings.num_replicas });
    const others = this.#subjectsBeside(settings.name);
    const wrong = wrongStream(settings, others) ?? wrongStreamUpdate(stream.settings, settings);
    if (wrong !== undefined) return { error: wrong };
    stream.applySettings(settings);
    this.#capturing.clear();
    advisory(this.around, 'stream_updated', settings.name);
    return { made: stream, isNew: false };
  }

  deleteStream(name: string): boolean {
    const stream = this.streams.get(name);
    if (stream === undefined) return false;
    const consumers = [...stream.consumers.keys()];
    stream.delete();
    this.streams.delete(name);
    this.#capturing.clear();
    for (const consumer of consumers) advisory(this.around, 'consumer_deleted', name, consumer);
    advisory(this.around, 'stream_deleted', name);
    return true;
  }

  createConsumer(
    streamName: string,
    wanted: Partial<ConsumerSettings>,
    action: 'create' | 'update' | '',
  ): Made<Consumer> {
    const stream = this.streams.get(streamName);
    if (stream === undefined) return { error: API_ERRORS.streamNotFound };
    const name = wanted.name ?? wanted.durable_name ?? `ephemeral-${++this.#names}`;
    const settings = consumerSettings(wanted, name);
    const existing = stream.consumers.get(name);
    const wrong = wrongConsumer(stream, settings, existing, action);
    if (wrong !== undefined) return { error: wrong };
    if (existing !== undefined) {
      existing.applySettings(settings);
      return { made: existing, isNew: false };
    }
    const consumer = new Consumer(stream, settings, this.around);
    stream.consumers.set(name, consumer);
    advisory(this.around, 'consumer_created', streamName, name);
    return { made: consumer, isNew: true };
  }

  deleteConsumer(streamName: string, name: string): boolean {
    const stream = this.streams.get(streamName);
    const consumer = stream?.consumers.get(name);
    if (stream === undefined || consumer === undefined) return false;
    stream.consumers.delete(name);
    consumer.delete();
    advisory(this.around, 'consumer_deleted', streamName, name);
    return true;
  }

  /** As `nats stream backup` does, consumers included. */
  backup(name: string): StreamBackup | undefined {
    const stream = this.streams.get(name);
    if (stream === undefined) return undefined;
    return {
      settings: { ...stream.settings },
      messages: [...stream.store.all()],
      lastSequence: stream.store.lastSequence,
      consumers: [...stream.consumers.values()].map(({ settings, state }) => ({ settings: { ...settings }, state })),
    };
  }

  /** As `nats stream restore` does: there must be no such stream. */
  restore(backup: StreamBackup): Stream | undefined {
    const { consumers, lastSequence, messages, settings } = backup;
    if (this.streams.has(settings.name)) return undefined;
    advisory(this.around, 'stream_restore_begun', settings.name);
    const stream = new Stream(settings, this.around);
    for (const message of messages) stream.restore(message);
    stream.store.advanceTo(lastSequence);
    stream.rebuildIds();
    this.streams.set(settings.name, stream);
    for (const each of consumers) {
      const consumer = new Consumer(stream, each.settings, this.around, each.state.copy());
      stream.consumers.set(consumer.name, consumer);
    }
    this.#capturing.clear();
    advisory(this.around, 'stream_restored', settings.name);
    return stream;
  }

  /** Takes what is published into the stream that captures it. @returns whether one did */
  take({ data, headers, reply, subject }: Wire): boolean {
    const stream = this.capturing(subject);
    if (stream === undefined || !stream.isLed) return false;
    stream.publish({ subject, reply, headers: headers?.withoutStatus(), data, isFired: false });
    return true;
  }

  /** The subjects of all other streams. */
  #subjectsBeside(name: string): string[] {
    return [...this.streams.values()].flatMap((stream) => (stream.name === name ? [] : stream.settings.subjects));
  }
}
