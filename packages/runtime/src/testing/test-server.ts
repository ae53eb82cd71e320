import type * as NatsServerModule from '@meshforge/nats-server';
import { MeshError } from '../errors.ts';

/** A real nats-server of a test's own, on 127.0.0.1, a free port, and a data folder that goes with it. */
export interface TestServer {
  readonly url: string;
  readonly pid: number | undefined;
  stop(): Promise<void>;
  /** Starts it again after a kill, on the same port and data. */
  restart(): Promise<void>;
  /** SIGKILL resolves when the process is gone. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
}

/**
 * Starts a private nats-server with JetStream. It is looked for on this machine, and fetched once if there is none.
 *
 * @throws MeshError `invalid_options` when the package `@meshforge/nats-server` is not installed
 * @throws Error that says each way to get a server, when none is found and none can be fetched
 */
export async function startTestServer(): Promise<TestServer> {
  let module: typeof NatsServerModule;
  try {
    module = await import('@meshforge/nats-server');
  } catch (cause) {
    throw new MeshError({
      code: 'invalid_options',
      message: 'startTestServer needs the package @meshforge/nats-server: install it as a development dependency',
      cause,
    });
  }
  return module.startNatsServer();
}
