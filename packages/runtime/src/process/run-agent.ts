import closeWithGrace from 'close-with-grace';
import { pino } from 'pino';
import type { AnyAgent } from '../core/agent.ts';
import type { ConnectOptions } from '../nats/connect.ts';
import { startAgent, type RunningAgent } from '../start-agent.ts';
import { readEnvironment, type Environment } from './environment.ts';
import { serveHealth, type HealthEndpoint } from './health.ts';
import { startTelemetryExport } from './telemetry-export.ts';

/** Longest way from a signal to the exit, in milliseconds; a second signal exits at once. */
const CLOSE_MS = 15_000;

/**
 * Runs an agent as a process: configured by the environment, logging JSON to standard output, drained and ended with
 * code 0 on SIGTERM or SIGINT, with code 1 and a log line on a fault.
 */
export async function runAgent(agent: AnyAgent): Promise<void> {
  let environment: Environment;
  try {
    environment = readEnvironment(process.env);
  } catch (error) {
    pino({ name: agent.name }).fatal((error as Error).message);
    process.exitCode = 1;
    return;
  }
  const logger = pino({ name: agent.name, level: environment.LOG_LEVEL });
  let running: RunningAgent | undefined;
  let health: HealthEndpoint | undefined;
  try {
    const { HEALTH_PORT: port } = environment;
    if (port !== undefined) health = await serveHealth(port, () => running?.ready() ?? false);
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
    await running?.stop();
    await (await telemetry)?.stop();
    await health?.close();
    logger.info('agent has stopped');
  });

  // Before anything that it could tell of.
  await telemetry;
  try {
    running = await startAgent(agent, {
      nats: connectOptions(environment),
      streamReplicas: environment.STREAM_REPLICAS,
      logger,
    });
  } catch (err) {
    logger.fatal({ err }, (err as Error).message);
    await health?.close();
    process.exit(1);
  }
  const fault = await running.stopped;
  if (fault !== undefined) {
    logger.fatal({ err: fault }, `agent was stopped: ${fault.message}`);
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
