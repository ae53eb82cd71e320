import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { NatsServerStartFailed } from './errors.ts';
import { pickFreePorts, tellNobody, tellWhileSlow, type OnProgress } from '@meshforge/processes';
import { locateNatsServer } from './locate-nats-server.ts';
import { NatsServer } from './nats-server.ts';
import { writeConfiguration, type ClusterPlace, type ConfigurationOptions } from './server-plan.ts';

/** Everything has a default. */
export interface StartOptions extends ConfigurationOptions {
  /** Where to listen, monitoring included. Default: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default: a free one. A port you name that is taken is an error. */
  readonly port?: number | undefined;
  /** Where JetStream keeps its data; kept on stop. Default: a temporary directory, removed on stop. */
  readonly dataDir?: string | undefined;
  /** Added to this process's environment, for `$NAME` in a configuration. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Path of the server. Default: what `locateNatsServer` finds. */
  readonly binary?: string | undefined;
  /** Default: 30,000 ms. */
  readonly readyTimeoutMs?: number | undefined;
  /** Told about anything that takes longer than two seconds. */
  readonly onProgress?: OnProgress | undefined;
}

const defaultHost = '127.0.0.1';
const defaultReadyTimeoutMs = 30_000;
const maxPortClashes = 5;

/**
 * Starts a nats-server with JetStream that takes connections from this machine only. Resolves when it takes them and
 * JetStream is ready. Throws `NatsServerNotFound`, or `NatsServerStartFailed` with the tail of its log. It never outlives
 * this process.
 */
export async function startNatsServer(options: StartOptions = {}): Promise<NatsServer> {
  const { host = defaultHost, onProgress = tellNobody } = options;
  const binary = options.binary ?? (await locateNatsServer({ onProgress })).path;
  for (let clashes = 0; ; clashes++) {
    const [port] = options.port === undefined ? await pickFreePorts(host, 1) : [options.port];
    const starting = startPlanned({ ...options, binary, port: port ?? 0 });
    try {
      return await tellWhileSlow(onProgress, `waiting for nats-server on port ${port}`, starting);
    } catch (error) {
      const mayRetry = options.port === undefined && clashes < maxPortClashes;
      if (!(mayRetry && error instanceof NatsServerStartFailed && error.isPortClash)) throw error;
    }
  }
}

/** Options with everything decided that only the caller can decide. */
export interface PlannedOptions extends StartOptions {
  readonly binary: string;
  readonly port: number;
  readonly name?: string;
  readonly cluster?: ClusterPlace;
}

/** Starts one server, alone or as a member of a cluster, exactly where it is told to. */
export async function startPlanned(options: PlannedOptions): Promise<NatsServer> {
  const { binary, host = defaultHost, port, name, cluster, readyTimeoutMs = defaultReadyTimeoutMs } = options;
  const env = { ...process.env, ...options.env };
  const workDir = await mkdtemp(join(tmpdir(), 'meshforge-nats-'));
  try {
    const dataDir = options.dataDir === undefined ? join(workDir, 'data') : resolve(options.dataDir);
    await mkdir(dataDir, { recursive: true });
    const configPath = await writeConfiguration(workDir, options);
    return await NatsServer.start({
      binary,
      host,
      port,
      dataDir,
      workDir,
      configPath,
      name,
      cluster,
      env,
      readyTimeoutMs,
    });
  } catch (error) {
    await rm(workDir, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}
