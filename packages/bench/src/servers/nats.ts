import { startNatsServer } from '@meshforge/nats-server';
import type { Host } from '../contender.ts';
import { askHttp, textOf, type Server } from './server.ts';

export interface BenchNatsServer extends Server {
  readonly url: string;
  /** Where it tells about itself, by HTTP. */
  readonly monitorUrl: string;
}

export interface NatsSettings {
  /** Syncs every message to disk before it acknowledges it. Default: as the server does, every two minutes. */
  readonly fsync?: boolean;
  /** A server apart, for an agent that another contender runs as well: two of one name would share their commands. */
  readonly apart?: string;
}

/** One nats-server with JetStream for all contenders that want it with these settings. */
export async function sharedNatsServer(
  host: Host,
  { fsync = false, apart = '' }: NatsSettings = {},
): Promise<BenchNatsServer> {
  return await host.shared(`nats-server ${fsync} ${apart}`, async () => await start(host, fsync));
}

async function start({ onProgress }: Host, fsync: boolean): Promise<BenchNatsServer> {
  const configText = fsync ? { configText: 'jetstream { sync_interval: always }' } : {};
  const server = await startNatsServer({ onProgress, ...configText });
  try {
    const about = await askHttp(`${server.monitorUrl}/varz`);
    const jetstream = about?.['jetstream'] as { config?: { sync_always?: boolean } } | undefined;
    // A server that does not know the setting, or got it wrong, would be measured as what it is not.
    if ((jetstream?.config?.sync_always ?? false) !== fsync) throw new Error('nats-server did not take sync_interval');
    return {
      url: server.url,
      monitorUrl: server.monitorUrl,
      version: textOf(about?.['version'], 'nats-server'),
      get pid() {
        return server.pid ?? 0;
      },
      stop: async () => await server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** What it has taken in and sent out so far. */
export async function natsMessages(monitorUrl: string): Promise<number> {
  const about = await askHttp(`${monitorUrl}/varz`);
  return Number(about?.['in_msgs']) + Number(about?.['out_msgs']);
}
