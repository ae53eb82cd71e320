import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

export interface StreamWatch {
  /** That lie in it now: of a work queue, all that is not done. */
  messages(): Promise<number>;
  close(): Promise<void>;
}

/** Over a connection of its own, which no backlog of a client holds up. */
export async function watchStream(url: string, stream: string): Promise<StreamWatch> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 30_000 });
  return {
    messages: async () => (await manager.streams.info(stream)).state.messages,
    close: async () => await connection.close(),
  };
}
