import { findProgram } from '@meshforge/debian-packages';
import { pickFreePorts } from '@meshforge/processes';
import type { Host } from '../contender.ts';
import { askHttp, loopback, startServerProcess, temporaryDirectory, textOf, type Server } from './server.ts';

export interface BenchEtcd extends Server {
  readonly url: string;
}

/** A cluster of one with etcd's own defaults: it syncs its log to disk before it answers a write. */
export async function sharedEtcd(host: Host): Promise<BenchEtcd> {
  return await host.shared('etcd', async () => await start(host));
}

async function start({ onProgress }: Host): Promise<BenchEtcd> {
  const { file, env } = await findProgram({ program: 'etcd', packages: ['etcd-server'], onProgress });
  const directory = await temporaryDirectory('etcd');
  const [clientPort, peerPort] = await pickFreePorts(loopback, 2);
  const url = `http://${loopback}:${clientPort}`;
  const peerUrl = `http://${loopback}:${peerPort}`;
  const settings = {
    name: 'bench',
    'data-dir': directory,
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `bench=${peerUrl}`,
  };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const isReady = async (): Promise<boolean> => (await askHttp(`${url}/health`))?.['health'] === 'true';
  const server = await startServerProcess({ name: 'etcd', file, args, env, directory, isReady });
  const version = textOf((await askHttp(`${url}/version`))?.['etcdserver'], 'etcd');
  return { url, version, pid: server.pid, stop: async () => await server.stop() };
}
