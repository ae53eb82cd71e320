import { pickFreePorts } from '@meshforge/processes';
import type { Host, Service } from '../contender.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { sharedRestate } from '../servers/restate.ts';
import { loopback } from '../servers/server.ts';
import { startServing } from './start-serving.ts';

const script = new URL('../services/restate-service.ts', import.meta.url);
/** Otherwise the SDK logs each invocation. */
const quiet = { NODE_ENV: 'production', RESTATE_LOGGING: 'WARN' };

/** Restate with the service that has its virtual objects. */
export async function startRestateService(host: Host): Promise<Service> {
  const { ingressUrl, adminUrl, version, pid } = await sharedRestate(host);
  const [port = 0] = await pickFreePorts(loopback, 1);
  const service = await startServing("Restate's service", script, [String(port)], quiet);
  try {
    await register(adminUrl, `http://${loopback}:${port}`);
  } catch (error) {
    await service.stop();
    throw error;
  }
  return {
    address: { url: ingressUrl, adminUrl },
    versions: { Restate: version, '@restatedev/restate-sdk': libraryVersion('@restatedev/restate-sdk') },
    pids: () => [pid, service.pid ?? 0],
    stop: async () => void (await service.stop()),
  };
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
