import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/transport-node';
import { AgentProcess, describeEnding } from './agent-process.ts';
import { readable } from './agent-log.ts';

const pingTimeoutMs = 1_000;
const retryMs = 50;
const { resolve: resolvePackage } = createRequire(import.meta.url);

/** An agent that ships with MeshForge. */
export interface Agent {
  readonly name: string;
  /** The package of its app. */
  readonly app: string;
}

export const AGENTS: readonly Agent[] = [
  { name: inventoryContract.name, app: '@meshforge/inventory' },
  { name: lockContract.name, app: '@meshforge/lock-manager' },
];

export interface StartAgentsOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly logDirectory: string;
  /** Processes of each agent; default 1. */
  readonly replicas?: number;
  readonly onLine?: (agent: string, line: string) => void;
}

/** Starts a process, or several, of each agent; they are not ready yet. */
export function startAgents({ env, logDirectory, replicas = 1, onLine }: StartAgentsOptions): AgentProcess[] {
  return AGENTS.flatMap(({ name, app }) =>
    Array.from({ length: replicas }, (_, index) => {
      const file = index === 0 ? `${name}.log` : `${name}-${index + 1}.log`;
      const directory = dirname(resolvePackage(`${app}/package.json`));
      return new AgentProcess({
        name,
        directory,
        env,
        logFile: join(logDirectory, file),
        onLine: (line) => onLine?.(name, line),
      });
    }),
  );
}

/** The first agent to end by itself; the error carries the tail of its log. Never resolves. */
export async function firstToDie(agents: readonly AgentProcess[]): Promise<never> {
  const { agent, ending } = await Promise.race(agents.map(async (each) => ({ agent: each, ending: await each.ended })));
  const tail = agent.tail.map((line) => `    ${readable(line)}`).join('\n');
  throw new Error(
    `the agent ${agent.name} ended with ${describeEnding(ending)}. The end of ${agent.logFile}:\n${tail || '    (empty)'}`,
  );
}

/** Resolves when the agent answers a ping. @throws Error after `timeoutMs` */
export async function untilReady(connection: NatsConnection, agent: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      await connection.request(`$SRV.PING.${agent}`, '', { timeout: pingTimeoutMs });
      return;
    } catch (cause) {
      if (performance.now() > deadline || connection.isClosed()) {
        throw new Error(`the agent ${agent} does not answer after ${timeoutMs / 1000} s`, { cause });
      }
      await sleep(retryMs);
    }
  }
}
