import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsCluster, startNatsServer } from '@meshforge/nats-server';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { makeUsers, serverEnvironment, type ProductionUserName, type ProductionUsers } from './production-users.ts';
import { copyConfigurations } from './shipped-files.ts';

/** A real server, or cluster, that runs the configuration we ship for real use. */
export interface ProductionServer {
  /** For clients; of a cluster, all members. */
  readonly url: string;
  readonly users: ProductionUsers;
  /** Connects as a user, with its own inbox prefix. `stop()` closes it. */
  connect(name: ProductionUserName): Promise<NatsConnection>;
  stop(): Promise<void>;
}

/** Runs production.conf with fresh keys, on a free port of 127.0.0.1 and with temporary data. */
export async function startProductionServer(): Promise<ProductionServer> {
  return await start('production.conf', {}, startNatsServer);
}

/** Runs three servers with production-cluster.conf, without its TLS. */
export async function startProductionCluster(): Promise<ProductionServer> {
  // The command line of each member says its real name and routes; the file only has to find its variables set.
  const env = {
    MESHFORGE_NATS_SERVER_NAME: 'member',
    MESHFORGE_NATS_CLUSTER_LISTEN: '127.0.0.1:6222',
    MESHFORGE_NATS_CLUSTER_ROUTES: '["nats://127.0.0.1:6222"]',
  };
  return await start('production-cluster.conf', env, startNatsCluster);
}

interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

type Start = (options: { configFile: string; env: NodeJS.ProcessEnv }) => Promise<Running>;

async function start(file: string, env: NodeJS.ProcessEnv, startServer: Start): Promise<ProductionServer> {
  const directory = await mkdtemp(join(tmpdir(), 'meshforge-production-'));
  const cleanUp = async (): Promise<void> => await rm(directory, { recursive: true, force: true });
  try {
    const users = await makeUsers(directory);
    await copyConfigurations(directory);
    const running = await startServer({
      configFile: join(directory, file),
      env: { ...env, ...serverEnvironment(users) },
    });
    return serverOf(running, users, cleanUp);
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

function serverOf(running: Running, users: ProductionUsers, cleanUp: () => Promise<void>): ProductionServer {
  const connections: NatsConnection[] = [];
  return {
    url: running.url,
    users,
    connect: async (name) => {
      const { seed, inboxPrefix } = users[name];
      const authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
      const connection = await connect({ servers: running.url.split(','), name, authenticator, inboxPrefix });
      connections.push(connection);
      return connection;
    },
    stop: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
      await running.stop();
      await cleanUp();
    },
  };
}
