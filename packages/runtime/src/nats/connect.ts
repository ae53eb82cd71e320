import { readFile } from 'node:fs/promises';
import type { ConnectionOptions, NatsConnection } from '@nats-io/nats-core';
import { connect, credsAuthenticator, nkeyAuthenticator } from '@nats-io/transport-node';
import { MeshError } from '../errors.ts';

/** How to reach NATS. */
export interface ConnectOptions {
  /** One or more URLs, comma separated or as a list. Default `nats://127.0.0.1:4222`. */
  servers?: string | readonly string[];
  /** Path of a credentials file (JWT and seed). */
  credsFile?: string;
  /** Path of a file that holds an nkey seed. */
  nkeySeedFile?: string;
  /** Path of the certificate authority's PEM file; turns TLS on. */
  tlsCaFile?: string;
  /** Where answers to this connection arrive; must begin with `_INBOX`. Default `_INBOX`. */
  inboxPrefix?: string;
  /** Shown in the server's monitoring. */
  name?: string;
  /** Keep trying when no server is there at the start. Default false: the first failure is an error. */
  waitOnFirstConnect?: boolean;
}

const DEFAULT_SERVER = 'nats://127.0.0.1:4222';
const RECONNECT_WAIT_MS = 250;
const CONNECT_TIMEOUT_MS = 5_000;
/** A server that has stopped answering is noticed after two of these. */
const PING_INTERVAL_MS = 5_000;

/** The prefix of inboxes to which services answer; nothing else is ever a reply subject. */
export const INBOX_PREFIX = '_INBOX';

/**
 * Connects, and reconnects for ever once connected.
 * @throws MeshError `invalid_options`, `connection`
 */
export async function connectNats(options: ConnectOptions = {}): Promise<NatsConnection> {
  const resolved = await resolveOptions(options);
  try {
    return await connect(resolved);
  } catch (cause) {
    const servers = (resolved.servers as string[]).join(', ');
    throw new MeshError({
      code: 'connection',
      message: `cannot connect to NATS at ${servers}: ${(cause as Error).message}. Start a nats-server, or set NATS_URL`,
      details: { servers },
      cause,
    });
  }
}

async function resolveOptions(options: ConnectOptions): Promise<ConnectionOptions> {
  const { servers = DEFAULT_SERVER, credsFile, nkeySeedFile, tlsCaFile, inboxPrefix = INBOX_PREFIX, name } = options;
  if (!/^_INBOX[A-Za-z0-9_-]*$/.test(inboxPrefix)) {
    throw new MeshError({
      code: 'invalid_options',
      message: `inboxPrefix is ${JSON.stringify(inboxPrefix)}: expected one token that begins with _INBOX`,
    });
  }
  if (credsFile !== undefined && nkeySeedFile !== undefined) {
    throw new MeshError({ code: 'invalid_options', message: 'both credsFile and nkeySeedFile are set: choose one' });
  }
  const list = typeof servers === 'string' ? servers.split(',') : [...servers];
  const authenticator =
    credsFile !== undefined
      ? credsAuthenticator(await read('credsFile', credsFile))
      : nkeySeedFile !== undefined
        ? nkeyAuthenticator(new TextEncoder().encode((await readText('nkeySeedFile', nkeySeedFile)).trim()))
        : undefined;
  return {
    servers: list.map((server) => server.trim()).filter((server) => server !== ''),
    inboxPrefix,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    waitOnFirstConnect: options.waitOnFirstConnect ?? false,
    ...(name === undefined ? {} : { name }),
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(tlsCaFile === undefined ? {} : { tls: { caFile: tlsCaFile } }),
  };
}

async function read(option: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new MeshError({
      code: 'invalid_options',
      message: `${option} ${path} cannot be read: ${(cause as Error).message}`,
      cause,
    });
  }
}

async function readText(option: string, path: string): Promise<string> {
  return new TextDecoder().decode(await read(option, path));
}
