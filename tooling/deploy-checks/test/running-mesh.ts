/** The real agents, as processes of their own, with the shipped configuration for real use and keys made for them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import {
  makeUsers,
  serverEnvironment,
  type ProductionUserName,
  type ProductionUsers,
} from '../src/production-users.ts';
import { copyConfigurations, shippedPath } from '../src/shipped-files.ts';

const LOADER = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const EXIT_WITH_PARENT = new URL('../../../packages/runtime/test/support/exit-with-parent.ts', import.meta.url).href;
const FOLDERS = { inventory: 'inventory', lockManager: 'lock-manager' } as const;

/** A running agent and all that it logged. */
interface Agent {
  readonly name: keyof typeof FOLDERS;
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly lines: string[];
}

/** Ask for its parts inside a test. */
interface RunningMesh {
  readonly url: string;
  readonly users: ProductionUsers;
  /** All that were started, also those that have ended. */
  readonly agents: readonly Agent[];
  /** One more replica; resolves when it serves. */
  readonly start: (name: Agent['name']) => Promise<Agent>;
  /** A client of the runtime, as a user of the shipped configuration. */
  readonly meshOf: (name: ProductionUserName, jetstreamDomain?: string) => Promise<Mesh>;
  readonly connectAs: (name: ProductionUserName) => Promise<NatsConnection>;
  /** What the server and the agents have to say about permissions that were missing. */
  readonly violations: () => string[];
}

/**
 * Smoke checks ask whether their user may read the audit trail, break leases and send durable commands, and are skipped where
 * it may not.
 */
const KNOWN_VIOLATION = /meshforge-smoke.*(?:\$JS\.API\.STREAM\.INFO\.SIGNALS|cmd\.lock\.break|queue\.later\.)/;

/** Starts a server and both agents for all tests of a file. */
export function runningMeshForThisFile(): RunningMesh {
  let directory: string;
  let server: NatsServer | undefined;
  let users: ProductionUsers | undefined;
  const agents: Agent[] = [];
  const connections: { close(): Promise<void> }[] = [];
  const parts = (): { server: NatsServer; users: ProductionUsers } => {
    if (server === undefined || users === undefined) throw new Error('ask for the mesh inside a test');
    return { server, users };
  };
  const start = async (name: Agent['name']): Promise<Agent> => {
    const agent = startAgent(name, parts().server.url, parts().users[name].seedFile);
    agents.push(agent);
    await untilReady(agent);
    return agent;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'meshforge-running-'));
    users = await makeUsers(directory);
    await copyConfigurations(directory);
    server = await startNatsServer({ configFile: join(directory, 'production.conf'), env: serverEnvironment(users) });
    await Promise.all([start('inventory'), start('lockManager')]);
  });

  afterAll(async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    for (const { child } of agents) child.kill('SIGKILL');
    await Promise.all(agents.map(({ exited }) => exited));
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  return {
    get url() {
      return parts().server.url;
    },
    get users() {
      return parts().users;
    },
    agents,
    start,
    meshOf: async (name, jetstreamDomain) => {
      const { inboxPrefix, seedFile: nkeySeedFile } = parts().users[name];
      const domain = jetstreamDomain === undefined ? {} : { jetstreamDomain };
      const { url: servers } = parts().server;
      const mesh = await connectMesh({ servers, nkeySeedFile, inboxPrefix, timeoutMs: 60_000, ...domain });
      connections.push(mesh);
      return mesh;
    },
    connectAs: async (name) => {
      const { inboxPrefix, seed } = parts().users[name];
      const authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
      const connection = await connect({ servers: parts().server.url, authenticator, inboxPrefix });
      connections.push(connection);
      return connection;
    },
    violations: () => {
      const logged = [...parts().server.logs().split('\n'), ...agents.flatMap(({ lines }) => lines)];
      return logged.filter((line) => /violation|not allowed/i.test(line) && !KNOWN_VIOLATION.test(line));
    },
  };
}

function startAgent(name: Agent['name'], url: string, seedFile: string): Agent {
  const main = shippedPath(`apps/${FOLDERS[name]}/src/main.ts`);
  const args = ['--conditions=@meshforge/source', '--import', LOADER, '--import', EXIT_WITH_PARENT, main];
  const inherited = Object.entries(process.env).filter(([key]) => !/^(?:NATS_|NODE_OPTIONS$|VITEST)/.test(key));
  const child = spawn(process.execPath, args, {
    env: { ...Object.fromEntries(inherited), NATS_URL: url, NATS_NKEY_SEED_FILE: seedFile, HEALTH_PORT: '0' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', (line) => lines.push(line));
  return { name, child, lines, exited: once(child, 'exit') };
}

async function untilReady({ name, child, lines }: Agent): Promise<void> {
  await until(
    () => `${name} is ready; it logged:\n${lines.join('\n')}`,
    async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended:\n${lines.join('\n')}`);
      const port = /"port":(\d+)/.exec(lines.join('\n'))?.[1];
      if (port === undefined) return false;
      const { status } = await fetch(`http://127.0.0.1:${port}/readyz`);
      return status === 200;
    },
  );
}
