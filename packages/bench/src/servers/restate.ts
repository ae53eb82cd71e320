import { join } from 'node:path';
import { pickFreePorts } from '@meshforge/processes';
import type { Host } from '../contender.ts';
import { fetchNpmPackage } from './npm-package.ts';
import { askHttp, loopback, startServerProcess, temporaryDirectory, textOf, type Server } from './server.ts';

export interface BenchRestate extends Server {
  readonly ingressUrl: string;
  readonly adminUrl: string;
}

const pinnedVersion = '1.7.12';

/** One node with Restate's own defaults: its log is synced to disk before an invocation goes on. */
export async function sharedRestate(host: Host): Promise<BenchRestate> {
  return await host.shared('restate', async () => await start(host));
}

async function start({ onProgress }: Host): Promise<BenchRestate> {
  // The binary itself, without the package whose program starts it from a Node.js process that would be counted with it.
  const name = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  const file = join(await fetchNpmPackage({ name, version: pinnedVersion }, onProgress), 'bin', 'restate-server');
  const directory = await temporaryDirectory('restate');
  const [ingressPort, adminPort, nodePort] = await pickFreePorts(loopback, 3);
  const ingressUrl = `http://${loopback}:${ingressPort}`;
  const adminUrl = `http://${loopback}:${adminPort}`;
  const env = {
    ...process.env,
    RESTATE_BASE_DIR: directory,
    RESTATE_NODE_NAME: 'bench',
    RESTATE_BIND_IP: loopback,
    RESTATE_BIND_PORT: String(nodePort),
    RESTATE_INGRESS__BIND_PORT: String(ingressPort),
    RESTATE_ADMIN__BIND_PORT: String(adminPort),
    RESTATE_LISTEN_MODE: 'tcp',
    RESTATE_DISABLE_TELEMETRY: 'true',
  };
  const isReady = async (): Promise<boolean> =>
    (await askHttp(`${adminUrl}/health`)) !== undefined &&
    (await askHttp(`${ingressUrl}/restate/health`)) !== undefined;
  const server = await startServerProcess({ name: 'restate-server', file, env, directory, isReady });
  const version = textOf((await askHttp(`${adminUrl}/version`))?.['version'], 'restate-server');
  return { ingressUrl, adminUrl, version, pid: server.pid, stop: async () => await server.stop() };
}
