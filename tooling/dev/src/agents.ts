import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/transport-node';
import { AgentProcess, describeEnding } from './agent-process.ts';
import { readable } from './agent-log.ts';

const pingTimeoutMs = 1_000;
const retryMs = 50;
const NO_RESPONDERS = 503;
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

/** Resolves when so many processes of the agent answer a ping. @throws Error after `timeoutMs` */
export async function untilReady(
  connection: NatsConnection,
  agent: string,
  timeoutMs: number,
  replicas = 1,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if ((await countAnswers(connection, `$SRV.PING.${agent}`, replicas)) >= replicas) return;
    if (performance.now() > deadline || connection.isClosed()) {
      throw new Error(`the agent ${agent} does not answer after ${timeoutMs / 1000} s`);
    }
    await sleep(retryMs);
  }
}

/** How many processes of the agent answer a ping. */
export async function replicasOf(connection: NatsConnection, agent: string): Promise<number> {
  return await countAnswers(connection, `$SRV.PING.${agent}`);
}

/** @param wanted it waits for no more than these */
async function countAnswers(connection: NatsConnection, subject: string, wanted?: number): Promise<number> {
  const ending =
    wanted === undefined ? ({ strategy: 'stall' } as const) : { strategy: 'count' as const, maxMessages: wanted };
  let answers = 0;
  try {
    for await (const answer of await connection.requestMany(subject, '', { ...ending, maxWait: pingTimeoutMs })) {
      if (answer.headers?.code !== NO_RESPONDERS) answers++;
    }
  } catch {
    // Nobody yet.
  }
  return answers;
}
