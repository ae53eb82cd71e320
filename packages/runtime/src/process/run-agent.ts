import closeWithGrace from 'close-with-grace';
import type { AnyAgent } from '../core/agent.ts';
import { connectMesh, type Mesh } from '../client/mesh.ts';
import { INBOX_PREFIX, type ConnectOptions } from '../nats/connect.ts';
import type { Reaction } from '../reaction/define-reaction.ts';
import { startAgent, type RunningAgent } from '../start-agent.ts';
import { readEnvironment, type Environment } from './environment.ts';
import { serveHealth, type HealthEndpoint } from './health.ts';
import { processLogger } from './logger.ts';
import { RunningReactions } from './running-reactions.ts';
import { startTelemetryExport } from './telemetry-export.ts';

/** Longest way from a signal to the exit, in milliseconds; a second signal exits at once. */
const CLOSE_MS = 15_000;

export interface RunAgentOptions {
  /** What else the process does: follows events with commands. */
  reactions?: readonly Reaction[];
}

/**
 * Runs an agent as a process: configured by the environment, logging JSON to standard output, drained and ended with
 * code 0 on SIGTERM or SIGINT, with code 1 and a log line on a fault.
 */
export async function runAgent(agent: AnyAgent, { reactions = [] }: RunAgentOptions = {}): Promise<void> {
  let environment: Environment;
  try {
    environment = readEnvironment(process.env);
  } catch (error) {
    processLogger(agent.name).fatal((error as Error).message);
    process.exitCode = 1;
    return;
  }
  const logger = processLogger(agent.name, environment.LOG_LEVEL);
  let running: RunningAgent | undefined;
  let reacting: RunningReactions | undefined;
  let health: HealthEndpoint | undefined;
  try {
    const { HEALTH_PORT: port } = environment;
    if (port !== undefined)
      health = await serveHealth(port, () =>
        running === undefined ? ['the agent starts'] : [...running.problems(), ...(reacting?.problems() ?? [])],
      );
  } catch (error) {
    logger.fatal(`HEALTH_PORT ${environment.HEALTH_PORT}: ${(error as Error).message}. Choose another, or unset it`);
    process.exitCode = 1;
    return;
  }
  if (health !== undefined) logger.info({ port: health.port }, 'health endpoint listens on 127.0.0.1');

  const telemetry = startTelemetryExport(agent.name, process.env, logger);
  closeWithGrace({ delay: CLOSE_MS, logger }, async ({ signal, err }) => {
    if (err !== undefined) logger.fatal({ err }, 'agent fails');
    else logger.info({ signal }, 'agent drains');
    await reacting?.stop();
    await running?.stop();
    await (await telemetry)?.stop();
    await health?.close();
    logger.info('agent has stopped');
  });

  // Before anything that it could tell of.
  await telemetry;
  const nats = connectOptions(environment);
  try {
    running = await startAgent(agent, { nats, streamReplicas: environment.STREAM_REPLICAS, logger });
  } catch (err) {
    logger.fatal({ err }, (err as Error).message);
    await health?.close();
    process.exit(1);
  }
  const ends: Promise<Error | undefined>[] = [running.stopped];
  if (reactions.length > 0) {
    // On a connection of their own, under the agent's name.
    const connect = (): Promise<Mesh> =>
      connectMesh({ name: agent.name, inboxPrefix: `${INBOX_PREFIX}_${agent.name}`, ...nats });
    reacting = new RunningReactions(reactions, connect, logger);
    ends.push(reacting.failed);
  }
  const fault = await Promise.race(ends);
  if (fault !== undefined) {
    logger.fatal({ err: fault }, `agent was stopped: ${fault.message}`);
    await running.stop();
    await (await telemetry)?.stop();
    process.exit(1);
  }
}

function connectOptions(environment: Environment): ConnectOptions {
  const { NATS_URL, NATS_CREDS, NATS_NKEY_SEED_FILE, NATS_TLS_CA } = environment;
  return {
    servers: NATS_URL,
    waitOnFirstConnect: true,
    ...(NATS_CREDS === undefined ? {} : { credsFile: NATS_CREDS }),
    ...(NATS_NKEY_SEED_FILE === undefined ? {} : { nkeySeedFile: NATS_NKEY_SEED_FILE }),
    ...(NATS_TLS_CA === undefined ? {} : { tlsCaFile: NATS_TLS_CA }),
  };
}
