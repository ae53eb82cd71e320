import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';

/** Adds a stream as any client with the rights to it can; rejects with what the server says. */
export async function addStream(
  connection: NatsConnection,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  await manager.streams.add(config);
}
