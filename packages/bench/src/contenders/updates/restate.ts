import { ManagedProcess, pickFreePorts } from '@meshforge/processes';
import { connect as connectIngress } from '@restatedev/restate-sdk-clients';
import type { Address, Contender, Host, Service, UpdateClient } from '../../contender.ts';
import { moduleProcess } from '../../module-process.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { sharedRestate } from '../../servers/restate.ts';
import { loopback } from '../../servers/server.ts';
import type { Item } from '../../services/restate-item.ts';

const script = new URL('../../services/restate-service.ts', import.meta.url);

async function start(host: Host): Promise<Service> {
  const { ingressUrl, adminUrl, version, pid } = await sharedRestate(host);
  const [port = 0] = await pickFreePorts(loopback, 1);
  const service = await startItemService(port);
  try {
    await register(adminUrl, `http://${loopback}:${port}`);
  } catch (error) {
    await service.stop();
    throw error;
  }
  return {
    address: { url: ingressUrl },
    versions: { Restate: version, '@restatedev/restate-sdk': libraryVersion('@restatedev/restate-sdk') },
    pids: () => [pid, service.pid ?? 0],
    stop: async () => void (await service.stop()),
  };
}

async function startItemService(port: number): Promise<ManagedProcess> {
  let serving = false;
  return await ManagedProcess.start({
    name: "Restate's service",
    ...moduleProcess(script, [String(port)]),
    // Otherwise the SDK logs each invocation.
    env: { ...process.env, NODE_ENV: 'production', RESTATE_LOGGING: 'WARN' },
    onMessage: () => (serving = true),
    isReady: () => serving,
  });
}

/** Tells Restate where the service is; it asks it for its handlers. */
async function register(adminUrl: string, uri: string): Promise<void> {
  const response = await fetch(`${adminUrl}/deployments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri }),
  });
  if (!response.ok) throw new Error(`Restate did not register its service: ${await response.text()}`);
}

function connect({ url }: Address): Promise<UpdateClient> {
  const ingress = connectIngress({ url: String(url) });
  const item = (entity: string) => ingress.objectClient<Item>({ name: 'item' }, entity);
  return Promise.resolve({
    create: async (entities: readonly string[]) =>
      await Promise.all(entities.map(async (entity) => await item(entity).create())),
    update: async (entity: string, version: number) => await item(entity).update(version),
    close: async () => await Promise.resolve(),
  });
}

export const restate: Contender<UpdateClient> = {
  id: 'restate',
  name: 'Restate',
  about: "a virtual object's handler checks the version and sets the state; called through the ingress; single node",
  durability: 'fsync',
  start,
  connect,
};
