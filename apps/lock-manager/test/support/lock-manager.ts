/** Lock managers to test against: in this process, or as processes that can be killed. */
import { startAgent, type AgentOptions, type RunningAgent } from '@meshforge/runtime';
import { startNatsServer, type StartOptions } from '@meshforge/nats-server';
import { startAgentProcess, type AgentProcess } from '../../../../packages/runtime/test/support/agent-process.ts';
import { openConnection } from '../../../../packages/runtime/test/support/wire.ts';
import { lockManager } from '../../src/index.ts';
import { LOCKS, type Connection } from './locks.ts';

/** What a test file shares: a server, a client, and as many lock managers as it asks for. */
export interface Mesh {
  server: Awaited<ReturnType<typeof startNatsServer>>;
  connection: Connection;
  replicas: RunningAgent[];
  stop(): Promise<void>;
}

/** A server of one node, with replicas of the lock manager in this process. */
export async function startMesh(replicas = 1, options: StartOptions = {}): Promise<Mesh> {
  const server = await startNatsServer(options);
  const agents = await Promise.all(Array.from({ length: replicas }, () => startReplica(server.url)));
  const connection = await openConnection(server.url);
  return {
    server,
    connection,
    replicas: agents,
    stop: async () => {
      await connection.close();
      await Promise.all(agents.map((agent) => agent.stop()));
      await server.stop();
    },
  };
}

export function startReplica(servers: string, options: AgentOptions = {}): Promise<RunningAgent> {
  return startAgent(lockManager, { ...options, nats: { servers, waitOnFirstConnect: true } });
}

/** The app itself. */
export function startLockManagerProcess(
  natsUrl: string,
  streamReplicas: 1 | 3 = 1,
  imports: readonly string[] = [],
): Promise<AgentProcess> {
  return startAgentProcess({
    imports,
    main: new URL('../../src/main.ts', import.meta.url),
    name: LOCKS,
    natsUrl,
    streamReplicas,
  });
}
