import { startNatsCluster, startNatsServer, type NatsServer, type OnProgress } from '@meshforge/nats-server';
import { Link } from '../proxy/link.ts';

/** The way from one server to another; bytes to the server go from `from` to `to`. */
export interface Route {
  readonly from: string;
  readonly to: string;
  readonly link: Link;
}

/** One server, or a cluster of three whose members reach each other over links. */
export interface Servers {
  /** Each has a name, also a server alone. */
  readonly nodes: readonly NatsServer[];
  readonly routes: readonly Route[];
  /** Resolves when those that are alive work together again. @throws Error saying what is missing */
  ready(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

// Clients would learn of the other servers' own addresses, and take them instead of their links.
const configText = 'cluster { no_advertise: true }';

export async function startServers(replicas: 1 | 3, onProgress: OnProgress): Promise<Servers> {
  if (replicas === 1) {
    const server = await startNatsServer({ onProgress });
    return { nodes: [server], routes: [], ready: async () => {}, stop: async () => await server.stop() };
  }
  const routes: Route[] = [];
  const openRoute = async (from: string, to: string, targetPort: number): Promise<number> => {
    const link = await Link.open({ name: `${from} to ${to}`, targetPort, speaks: 'route' });
    routes.push({ from, to, link });
    return link.port;
  };
  const cluster = await startNatsCluster({ size: replicas, configText, onProgress, routeVia: openRoute });
  return {
    nodes: cluster.nodes,
    routes,
    ready: async (timeoutMs) => await cluster.ready(timeoutMs),
    stop: async () => {
      await cluster.stop();
      await Promise.all(routes.map(({ link }) => link.close()));
    },
  };
}
