import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  connect,
  credsAuthenticator,
  errors,
  nkeyAuthenticator,
  type ConnectionOptions,
  type NatsConnection,
} from '@nats-io/transport-node';
import { CannotRun } from './cannot-run.ts';
import { describeError } from './describe-error.ts';
import type { ConnectionSettings } from './settings.ts';

const retryMs = 200;
const dialTimeoutMs = 2_000;

/** Opens further connections of the same user, as other clients would. */
export type OpenConnection = () => Promise<NatsConnection>;

/** Reads the secrets once. @throws CannotRun when a file cannot be read. */
export async function prepareConnection(settings: ConnectionSettings, inboxPrefix: string): Promise<OpenConnection> {
  const { servers, credsFile, nkeySeedFile, tlsCaFile } = settings;
  const options: ConnectionOptions = {
    servers: [...servers],
    name: 'meshforge-smoke',
    inboxPrefix,
    timeout: dialTimeoutMs,
    // A mesh that goes away in mid-run is a finding; waiting for it to come back would hide it.
    reconnect: false,
  };
  if (credsFile !== undefined) {
    options.authenticator = credsAuthenticator(await readSecret('NATS_CREDS', credsFile));
  } else if (nkeySeedFile !== undefined) {
    const seed = new TextDecoder().decode(await readSecret('NATS_NKEY_SEED_FILE', nkeySeedFile)).trim();
    options.authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
  }
  if (tlsCaFile !== undefined)
    options.tls = { ca: new TextDecoder().decode(await readSecret('NATS_TLS_CA', tlsCaFile)) };
  else if (servers.some((server) => server.startsWith('tls://'))) options.tls = {};
  return async () => await connect(options);
}

/** Connects as soon as a server takes connections. @throws CannotRun after `timeoutMs`, or at once when it refuses this user. */
export async function connectWithin(
  open: OpenConnection,
  servers: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<NatsConnection> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (isRefusal(error)) throw refused(servers, error);
      if (performance.now() + retryMs > deadline) throw noServer(servers, timeoutMs, error);
      await sleep(retryMs, undefined, { signal });
    }
  }
}

async function readSecret(variable: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CannotRun({
      problem: `the file that ${variable} names cannot be read`,
      tried: `${path}: ${describeError(error)}`,
      expected: 'a file that this user may read',
      remedy: `correct ${variable}, or unset it for a server that asks for nothing`,
      cause: error,
    });
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
}

function refused(servers: readonly string[], cause: unknown): CannotRun {
  return new CannotRun({
    problem: 'the NATS server does not let this user in',
    tried: `${servers.join(', ')}: ${describeError(cause)}`,
    expected: 'a user that may publish cmd.>, qry.>, $SRV.> and subscribe evt.> and its inbox',
    remedy: 'point NATS_CREDS or NATS_NKEY_SEED_FILE at the secrets of such a user',
    cause,
  });
}

function noServer(servers: readonly string[], timeoutMs: number, cause: unknown): CannotRun {
  return new CannotRun({
    problem: 'no NATS server can be reached',
    tried: `${servers.join(', ')} for ${timeoutMs / 1000} s: ${describeError(cause)}`,
    expected: 'a NATS server with JetStream and both agents of the mesh on it',
    remedy: 'start a mesh with `npm start`, or set NATS_URL to where yours runs',
    cause,
  });
}
