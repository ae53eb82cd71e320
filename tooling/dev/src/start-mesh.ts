// npm start, once everything is installed and built.
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/transport-node';
import { trouble } from './agent-log.ts';
import { AGENTS, firstToDie, replicasOf, startAgents, untilReady } from './agents.ts';
import { BorrowedServer } from './borrowed-server.ts';
import { CleanUp } from './clean-up.ts';
import { addressFrom, connectTo, environmentFor, type Address } from './connection.ts';
import { printEvents } from './event-printer.ts';
import { startLocalServer } from './local-server.ts';
import type { Narrator, Say } from './narrator.ts';
import { showSmoke } from './show-smoke.ts';
import { tellStory } from './story.ts';
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
 * Runs a server (unless NATS_URL names one), the agents, a story and the smoke checks; then prints events until the signal.
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
  const { say, detail, step } = narrator;
  const logDirectory = join(home, 'logs');
  await mkdir(logDirectory, { recursive: true });
  const given = addressFrom(process.env);
  const server = given ?? (await startLocalServer(home, cleanUp, narrator));
  const address: Address = given ?? { url: server.url };
  const connection = await connectTo(address);
  cleanUp.add(() => connection.close());
  tellOutages(connection, say);
  const mayCommit = given === undefined || (await borrow(connection, address, cleanUp, say));
  // Somebody else's may run on that server.
  const others = await Promise.all(AGENTS.map(({ name }) => replicasOf(connection, name)));

  signal.throwIfAborted();
  let isChecking = false;
  const agents = startAgents({
    env: environmentFor(address, process.env),
    logDirectory,
    onLine: (agent, line) => {
      const shown = trouble(agent, line);
      // The checks provoke warnings: they send what no agent can execute.
      if (shown !== undefined) (isChecking ? detail : say)(shown);
    },
  });
  cleanUp.add(() => Promise.all(agents.map((agent) => agent.stop())));
  const died = Promise.race([firstToDie(agents), ...('died' in server ? [server.died] : [])]);
  died.catch(() => undefined);
  const ready = Promise.all(
    agents.map(({ name }, index) => untilReady(connection, name, readyTimeoutMs, 1 + (others[index] ?? 0))),
  );
  const names = agents.map(({ name }) => name).join(' and ');
  await step(
    `starting the agents ${names}`,
    () => Promise.race([ready, died]),
    () => `the agents ${names} are ready`,
  );

  if (mayCommit) {
    say('');
    await Promise.race([tellStory(connection, `bolt-${randomBytes(2).toString('hex')}`, say), died]);
    say('');
    isChecking = true;
    await Promise.race([check(address, narrator, signal, cleanUp), died]);
    isChecking = false;
  }
  printEvents(connection, say);
  await connection.flush();
  say(['', ...suggestions(address.url), '', `Events on ${address.url} (Ctrl-C stops all of it):`].join('\n'));
  await died;
}

/**
 * Sees to it that nothing is left on a server of somebody else. @returns whether the story and the checks may run there: not
 * where a mesh is already, since what they commit would stay in its logs
 */
async function borrow(connection: NatsConnection, { url }: Address, cleanUp: CleanUp, say: Say): Promise<boolean> {
  try {
    const server = await BorrowedServer.look(connection);
    cleanUp.add(() => server.giveBack(say));
    if (server.mesh.length === 0) {
      say(`✓ ${url}: the agents make their streams there; when this ends, it removes them with all that is in them`);
      return true;
    }
    say(`✓ ${url} has a mesh already, which stays as it is: ${server.mesh.join(', ')}`);
  } catch (error) {
    say(`! ${url}: its streams cannot be listed (${String(error)}), so none is removed when this ends`);
  }
  say('  No story and no checks here: what they commit could not be taken out of its logs again.');
  say(`  (Without NATS_URL, npm start shows them on a server of its own.)`);
  return false;
}

async function check(address: Address, narrator: Narrator, signal: AbortSignal, cleanUp: CleanUp): Promise<void> {
  const end = new AbortController();
  const checked = showSmoke(address, narrator, AbortSignal.any([signal, end.signal]));
  cleanUp.add(() => {
    end.abort();
    return checked;
  });
  await checked;
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
