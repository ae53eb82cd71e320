// npm start, once everything is installed and built.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/transport-node';
import { trouble } from './agent-log.ts';
import type { AgentProcess } from './agent-process.ts';
import { firstToDie, startAgents, untilReady } from './agents.ts';
import { CleanUp } from './clean-up.ts';
import { addressFrom, connectTo, environmentFor, type Address } from './connection.ts';
import { printEvents } from './event-printer.ts';
import { startLocalServer } from './local-server.ts';
import type { Narrator, Say } from './narrator.ts';
import { showSmoke } from './show-smoke.ts';
import { suggestions } from './suggestions.ts';

const readyTimeoutMs = 30_000;

export interface StartMeshOptions {
  /** Of the checkout. Its `.meshforge` holds the data and the logs. */
  readonly root: string;
  readonly narrator: Narrator;
  /** Stops all of it. */
  readonly signal: AbortSignal;
}

/**
 * Runs a server (unless NATS_URL names one), the agents and the smoke checks; then prints events until the signal.
 * Resolves when it has come and nothing is left running. @throws Error with a message for people, likewise.
 */
export async function startMesh({ root, narrator, signal }: StartMeshOptions): Promise<void> {
  const cleanUp = new CleanUp();
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  if (signal.aborted) return;
  try {
    await Promise.race([stopped, runMesh(join(root, '.meshforge'), narrator, signal, cleanUp)]);
  } finally {
    if (signal.aborted) narrator.say('\nstopping: the agents finish what they have begun');
    for (const fault of await cleanUp.run()) narrator.say(`! while stopping: ${String(fault)}`);
    if (signal.aborted) narrator.say('stopped');
  }
}

/** Never resolves: only the signal or a fault ends it. */
async function runMesh(home: string, narrator: Narrator, signal: AbortSignal, cleanUp: CleanUp): Promise<void> {
  const { say, step } = narrator;
  const given = addressFrom(process.env);
  const server = given ?? (await startLocalServer(home, cleanUp, say));
  const address: Address = given ?? { url: server.url };
  const connection = await connectTo(address);
  cleanUp.add(() => connection.close());
  tellOutages(connection, say);

  const agents = await agentsOn(address, home, say);
  cleanUp.add(() => Promise.all(agents.map((agent) => agent.stop())));
  const died = Promise.race([firstToDie(agents), ...('died' in server ? [server.died] : [])]);
  died.catch(() => undefined);
  const ready = Promise.all(agents.map(({ name }) => untilReady(connection, name, readyTimeoutMs)));
  const names = agents.map(({ name }) => name).join(', ');
  await step(`starting the agents ${names}`, () => Promise.race([ready, died]));

  const smokeEnd = new AbortController();
  const smoke = showSmoke(address, say, AbortSignal.any([signal, smokeEnd.signal]));
  cleanUp.add(() => {
    smokeEnd.abort();
    return smoke;
  });
  await Promise.race([smoke, died]);

  printEvents(connection, say);
  await connection.flush();
  say(['', ...suggestions(address.url), '', `Events on ${address.url} (Ctrl-C stops all of it):`].join('\n'));
  await died;
}

async function agentsOn(address: Address, home: string, say: Say): Promise<AgentProcess[]> {
  const logDirectory = join(home, 'logs');
  await mkdir(logDirectory, { recursive: true });
  return startAgents({
    env: environmentFor(address, process.env),
    logDirectory,
    onLine: (agent, line) => {
      const shown = trouble(agent, line);
      if (shown !== undefined) say(shown);
    },
  });
}

function tellOutages(connection: NatsConnection, say: Say): void {
  void (async () => {
    for await (const { type } of connection.status()) {
      if (type === 'disconnect' && !connection.isClosed())
        say('! the connection to the NATS server is lost; trying again');
      if (type === 'reconnect') say('  connected to the NATS server again');
    }
  })();
}
