/** Backups of streams, by JetStream's own API: what `nats stream backup` and `nats stream restore` do. */
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { createInbox, errors, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { until } from './until.ts';

/** A stream with its messages and consumers at one moment. */
export interface Backup {
  config: StreamConfig;
  state: object;
  chunks: Uint8Array[];
}

const TIMEOUT_MS = 20_000;

export async function backUp(connection: NatsConnection, stream: string): Promise<Backup> {
  const inbox = createInbox();
  const chunks: Uint8Array[] = [];
  const subscription = connection.subscribe(inbox);
  const receiving = (async () => {
    for await (const chunk of subscription) {
      chunk.respond();
      if (chunk.data.length === 0) return;
      chunks.push(chunk.data.slice());
    }
  })();
  const request = { deliver_subject: inbox, chunk_size: 65_536 };
  const { config, state } = await ask<Backup>(connection, `STREAM.SNAPSHOT.${stream}`, request);
  await receiving;
  subscription.unsubscribe();
  return { config, state, chunks };
}

/** The stream must not exist. */
export async function restore(connection: NatsConnection, { chunks, config, state }: Backup): Promise<void> {
  const { deliver_subject: target } = await ask<{ deliver_subject: string }>(
    connection,
    `STREAM.RESTORE.${config.name}`,
    { config, state },
  );
  for (const chunk of [...chunks, new Uint8Array()]) {
    const answer = await requestOnceHeard(connection, target, chunk);
    if (answer.data.length > 0) throwIfRefused(answer);
  }
}

/** In a cluster it takes a moment until the server that takes the backup in can be reached from all others. */
async function requestOnceHeard(connection: NatsConnection, subject: string, data: Uint8Array): Promise<Msg> {
  return await until('somebody takes the backup in', async () => {
    try {
      return await connection.request(subject, data, { timeout: TIMEOUT_MS });
    } catch (error) {
      if (error instanceof errors.RequestError && error.isNoResponders()) return undefined;
      throw error;
    }
  });
}

export async function deleteStream(connection: NatsConnection, stream: string): Promise<StreamConfig> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout: TIMEOUT_MS });
  const { config } = await streams.info(stream);
  await streams.delete(stream);
  return config;
}

async function ask<T>(connection: NatsConnection, api: string, request: object): Promise<T> {
  const answer = await connection.request(`$JS.API.${api}`, JSON.stringify(request), { timeout: TIMEOUT_MS });
  throwIfRefused(answer);
  return answer.json<T>();
}

function throwIfRefused(answer: Msg): void {
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error !== undefined) throw new Error(error.description);
}
