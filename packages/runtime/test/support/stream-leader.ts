import type { NatsCluster, NatsServer } from '@meshforge/nats-server';
import { entityStream } from '@meshforge/protocol';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { until } from './until.ts';

/** The node that leads the stream of an agent now, or another stream of it. */
export async function streamLeader(
  cluster: NatsCluster,
  connection: NatsConnection,
  agent: string,
  stream: string = entityStream(agent),
): Promise<NatsServer> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  return until(`the stream of ${agent} has a leader that is alive`, async () => {
    try {
      const { cluster: group } = await manager.streams.info(stream);
      return cluster.nodes.find((node) => node.name === group?.leader && node.isAlive);
    } catch {
      // No leader answers yet.
      return undefined;
    }
  });
}
