import { startNatsServer } from '@meshforge/nats-server';
import type { NatsConnection } from '@nats-io/transport-node';
import { describeEnding, type AgentProcess } from './agent-process.ts';
import { CleanUp } from './clean-up.ts';
import { connectTo, environmentFor, type Address } from './connection.ts';

/** A server on a free port with nothing on it, and what runs there until it is stopped. */
export class PrivateMesh {
  readonly connection: NatsConnection;
  readonly url: string;
  /** For agents on this server: they log warnings and worse, and take nothing else from this process's NATS_*. */
  readonly env: NodeJS.ProcessEnv;
  readonly #agents: AgentProcess[] = [];
  readonly #cleanUp: CleanUp;

  private constructor(address: Address, connection: NatsConnection, cleanUp: CleanUp) {
    this.url = address.url;
    this.connection = connection;
    this.env = { ...environmentFor(address, process.env), LOG_LEVEL: 'warn' };
    this.#cleanUp = cleanUp;
  }

  static async start(say: (line: string) => void): Promise<PrivateMesh> {
    const cleanUp = new CleanUp();
    const server = await startNatsServer({ onProgress: say });
    cleanUp.add(() => server.stop());
    const address = { url: server.url };
    const connection = await connectTo(address);
    cleanUp.add(() => connection.close());
    return new PrivateMesh(address, connection, cleanUp);
  }

  /** Takes charge of stopping these. */
  run(agents: readonly AgentProcess[]): readonly AgentProcess[] {
    this.#agents.push(...agents);
    return agents;
  }

  /** Drains the agents, stops the server; answers what did not end as it should. */
  async stop(): Promise<string[]> {
    const endings = await Promise.all(this.#agents.map(async (agent) => ({ agent, ending: await agent.stop() })));
    const faults = await this.#cleanUp.run();
    const wrong = endings.filter(({ ending }) => ending.code !== 0);
    return [
      ...wrong.map(
        ({ agent, ending }) => `${agent.name} ended with ${describeEnding(ending)}: ${agent.tail.join('\n')}`,
      ),
      ...faults.map(String),
    ];
  }
}
