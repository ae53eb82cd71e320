import { readFile } from 'node:fs/promises';
import {
  connect,
  credsAuthenticator,
  nkeyAuthenticator,
  type Authenticator,
  type NatsConnection,
} from '@nats-io/transport-node';

const timeoutMs = 5_000;

/** Where a mesh is, and as whom to knock: what `NATS_*` say, or a server of our own. */
export interface Address {
  readonly url: string;
  readonly credsFile?: string | undefined;
  readonly nkeySeedFile?: string | undefined;
  readonly tlsCaFile?: string | undefined;
}

/** A variable that is set to nothing counts as unset. */
export function addressFrom(env: NodeJS.ProcessEnv): Address | undefined {
  const url = env['NATS_URL'];
  if (!url) return undefined;
  return {
    url,
    credsFile: env['NATS_CREDS'] || undefined,
    nkeySeedFile: env['NATS_NKEY_SEED_FILE'] || undefined,
    tlsCaFile: env['NATS_TLS_CA'] || undefined,
  };
}

/** The environment of a process that shall speak to that address and to no other. */
export function environmentFor(address: Address, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    ...env,
    NATS_URL: address.url,
    NATS_CREDS: address.credsFile,
    NATS_NKEY_SEED_FILE: address.nkeySeedFile,
    NATS_TLS_CA: address.tlsCaFile,
    // Processes on one machine would quarrel over one port.
    HEALTH_PORT: undefined,
  };
}

/** Connects within five seconds, then reconnects for ever. @throws Error that says what to do */
export async function connectTo(address: Address): Promise<NatsConnection> {
  const { url, tlsCaFile } = address;
  try {
    const authenticator = await authenticatorFor(address);
    return await connect({
      servers: url.split(',').map((server) => server.trim()),
      name: 'meshforge-dev',
      timeout: timeoutMs,
      maxReconnectAttempts: -1,
      ...(authenticator === undefined ? {} : { authenticator }),
      ...(tlsCaFile === undefined ? {} : { tls: { caFile: tlsCaFile } }),
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `no connection to ${url}: ${reason}. Start that server or correct NATS_URL (NATS_CREDS, NATS_NKEY_SEED_FILE, NATS_TLS_CA); without NATS_URL, npm start runs a server of its own.`,
      { cause },
    );
  }
}

async function authenticatorFor({ credsFile, nkeySeedFile }: Address): Promise<Authenticator | undefined> {
  if (credsFile !== undefined) return credsAuthenticator(await readFile(credsFile));
  if (nkeySeedFile !== undefined) return nkeyAuthenticator(Buffer.from((await readFile(nkeySeedFile, 'utf8')).trim()));
  return undefined;
}
