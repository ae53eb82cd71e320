import { readFile } from 'node:fs/promises';
import type { Authenticator, ConnectionOptions, NatsConnection } from '@nats-io/nats-core';
import { connect, credsAuthenticator, nkeyAuthenticator } from '@nats-io/transport-node';
import { systemClock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { redialing } from './redialing.ts';

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
/** Between two tries at the first connection, in milliseconds. */
const FIRST_WAIT_MS = 250;
const CONNECT_TIMEOUT_MS = 5_000;
/** A server that has stopped answering is noticed after two of these. */
const PING_INTERVAL_MS = 5_000;

/** The prefix of inboxes to which services answer; nothing else is ever a reply subject. */
export const INBOX_PREFIX = '_INBOX';

/**
 * Connects, and reconnects for ever once connected.
 * @param onWait told why a first connection is being waited for, each reason once
 * @throws MeshError `invalid_options`, `connection`
 */
export async function connectNats(
  options: ConnectOptions = {},
  onWait: (why: string, servers: string) => void = () => {},
): Promise<NatsConnection> {
  const resolved = await resolveOptions(options);
  const servers = (resolved.servers as string[]).join(', ');
  let told = '';
  for (;;) {
    try {
      return await connect(resolved);
    } catch (cause) {
      const why = (cause as Error).message;
      const isHopeless = cause instanceof TypeError;
      if (options.waitOnFirstConnect !== true || isHopeless) {
        throw new MeshError({
          code: 'connection',
          message: `cannot connect to NATS at ${servers}: ${why}. Start a nats-server, or set NATS_URL`,
          details: { servers },
          cause,
        });
      }
      if (why !== told) onWait(why, servers);
      told = why;
      await systemClock.sleep(FIRST_WAIT_MS);
    }
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
  const list = (typeof servers === 'string' ? servers.split(',') : [...servers])
    .map((server) => server.trim())
    .filter((server) => server !== '');
  if (list.length === 0) {
    throw new MeshError({ code: 'invalid_options', message: 'servers names none: expected URLs, separated by commas' });
  }
  const authenticator =
    credsFile !== undefined
      ? usable('credsFile', credsFile, credsAuthenticator(await read('credsFile', credsFile)))
      : nkeySeedFile !== undefined
        ? usable('nkeySeedFile', nkeySeedFile, nkeyAuthenticator(await readSeed(nkeySeedFile)))
        : undefined;
  return {
    servers: list,
    inboxPrefix,
    maxReconnectAttempts: -1,
    ...redialing(systemClock),
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    ...(name === undefined ? {} : { name }),
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(tlsCaFile === undefined ? {} : { tls: { ca: await readText('tlsCaFile', tlsCaFile) } }),
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

async function readSeed(path: string): Promise<Uint8Array> {
  return new TextEncoder().encode((await readText('nkeySeedFile', path)).trim());
}

/** The authenticator, once it has shown that it can sign. */
function usable(option: string, path: string, authenticator: Authenticator): Authenticator {
  try {
    authenticator('nonce');
    return authenticator;
  } catch (cause) {
    throw new MeshError({
      code: 'invalid_options',
      message: `${option} ${path} cannot be used: ${(cause as Error).message}`,
      cause,
    });
  }
}

async function readText(option: string, path: string): Promise<string> {
  return new TextDecoder().decode(await read(option, path));
}
