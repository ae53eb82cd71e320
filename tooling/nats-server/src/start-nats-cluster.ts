import { join } from 'node:path';
import { waitForCluster, type ClusterMember } from './cluster-health.ts';
import { NatsServerStartFailed } from './errors.ts';
import { pickFreePorts, tellNobody, tellWhileSlow } from '@meshforge/processes';
import { locateNatsServer } from './locate-nats-server.ts';
import type { NatsServer } from './nats-server.ts';
import { clusterView } from './monitoring.ts';
import type { ClusterPlace } from './server-plan.ts';
import { startPlanned, type StartOptions } from './start-nats-server.ts';

/** Everything has a default. A configuration is given to every member; `dataDir` gets one directory per member. */
export interface ClusterOptions extends Omit<StartOptions, 'host' | 'port'> {
  /** Default: 3, what a stream with three replicas needs. */
  readonly size?: number | undefined;
  /**
   * Puts something between two members, such as a proxy that can be cut: answers the port on which `from` reaches the
   * route port of `to`. Asked for every pair before any member starts; members then take no other way to each other.
   */
  readonly routeVia?: ((from: string, to: string, routePort: number) => Promise<number>) | undefined;
}

/** A JetStream cluster on this machine. */
export interface NatsCluster {
  /** The addresses of all members, separated by commas. */
  readonly url: string;
  /** n1, n2, n3, … Each can be killed and restarted by itself. */
  readonly nodes: readonly NatsServer[];
  /**
   * Resolves when the members that are alive, a majority, have a meta leader and are current, and every stream and consumer
   * on them has a leader: for the time after a kill or a restart. A frozen member counts as alive. Throws after `timeoutMs` (default: 60,000) with what is missing.
   */
  ready(timeoutMs?: number): Promise<void>;
  /** The member that leads the meta group, or nothing while there is none. */
  metaLeader(): Promise<NatsServer | undefined>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const defaultReadyTimeoutMs = 60_000;
const maxPortClashes = 5;

/**
 * Starts a cluster on 127.0.0.1 with free ports. Resolves when a meta leader exists and every member is current, so that
 * streams with replicas can be made. Members tell the leader how much room they have in messages of their own, which no
 * monitoring page shows: now and then a stream is refused for some seconds with "no suitable peers" (error 10005), and is
 * to be asked for again. Throws as `startNatsServer` does; then nothing is left running.
 */
export async function startNatsCluster(options: ClusterOptions = {}): Promise<NatsCluster> {
  const { size = 3, onProgress = tellNobody, readyTimeoutMs = defaultReadyTimeoutMs } = options;
  const binary = options.binary ?? (await locateNatsServer({ onProgress })).path;
  const nodes = await tellWhileSlow(onProgress, `starting ${size} nats-servers`, startNodes(options, binary, size));
  const alive = (): ClusterMember[] => nodes.filter((node) => node.isAlive);
  const cluster: NatsCluster = {
    url: nodes.map((node) => node.url).join(','),
    nodes,
    ready: async (timeoutMs = readyTimeoutMs) => await waitForCluster(alive, timeoutMs),
    metaLeader: async () => await findMetaLeader(nodes),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
  try {
    await tellWhileSlow(onProgress, 'waiting for the cluster to elect its leader', cluster.ready());
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function startNodes(options: ClusterOptions, binary: string, size: number): Promise<NatsServer[]> {
  for (let clashes = 0; ; clashes++) {
    const ports = await pickFreePorts(host, size * 2);
    const places = await planPlaces(ports.slice(size), options.routeVia);
    const starting = places.map((cluster, index) => {
      const name = nameOf(index);
      const dataDir = options.dataDir === undefined ? undefined : join(options.dataDir, name);
      return startPlanned({ ...options, binary, host, port: ports[index] ?? 0, name, dataDir, cluster });
    });
    const results = await Promise.allSettled(starting);
    const failure = results.find((result) => result.status === 'rejected');
    const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    if (failure === undefined) return started;
    await Promise.all(started.map((node) => node.stop()));
    const error: unknown = failure.reason;
    if (!(error instanceof NatsServerStartFailed && error.isPortClash && clashes < maxPortClashes)) throw error;
  }
}

async function planPlaces(
  routePorts: readonly number[],
  routeVia: ClusterOptions['routeVia'],
): Promise<ClusterPlace[]> {
  const clusterName = 'meshforge';
  if (routeVia === undefined)
    return routePorts.map((routePort) => ({ clusterName, routePort, allRoutePorts: routePorts }));
  return await Promise.all(
    routePorts.map(async (routePort, from) => {
      // Its own port stays in the list: the server counts the entries to know how large the cluster is to be.
      const ways = routePorts.map(async (port, to) =>
        to === from ? port : await routeVia(nameOf(from), nameOf(to), port),
      );
      return { clusterName, routePort, allRoutePorts: await Promise.all(ways), isUnadvertised: true };
    }),
  );
}

function nameOf(index: number): string {
  return `n${index + 1}`;
}

async function findMetaLeader(nodes: readonly NatsServer[]): Promise<NatsServer | undefined> {
  for (const node of nodes.filter((candidate) => candidate.isAlive)) {
    const leader = (await clusterView(node.monitorUrl))?.meta.leader;
    const found = nodes.find((candidate) => candidate.name === leader && candidate.isAlive);
    if (found !== undefined) return found;
  }
  return undefined;
}
