import type { ManagedProcess } from '@meshforge/processes';
import type { Host, Service } from '../contender.ts';
import { startAgentProcess, type App } from '../servers/agent.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { sharedNatsServer, type NatsSettings } from '../servers/nats.ts';

/** An app of MeshForge on the shared nats-server. */
export async function startMeshforgeService(host: Host, app: App, settings: NatsSettings = {}): Promise<Service> {
  const nats = await sharedNatsServer(host, settings);
  const agent: ManagedProcess = await startAgentProcess({ app, natsUrl: nats.url });
  return {
    address: { url: nats.url, monitorUrl: nats.monitorUrl },
    versions: { [app]: libraryVersion('@meshforge/runtime'), 'nats-server': nats.version },
    pids: () => [agent.pid ?? 0, nats.pid],
    stop: async () => void (await agent.stop()),
  };
}
