import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import semver from 'semver';
import { MeshError } from '../errors.ts';

/** The first server with message schedules as MeshForge uses them. */
export const MINIMUM_SERVER = '2.14.0';

/**
 * Checks that the server is one that MeshForge can stand on.
 * @throws MeshError `server_unsuitable` saying what it lacks
 */
export async function requireServer(connection: NatsConnection): Promise<JetStreamManager> {
  const version = connection.info?.version ?? 'unknown';
  // Pre-releases of the minimum have what it takes.
  if (semver.lt(semver.coerce(version) ?? '0.0.0', MINIMUM_SERVER)) {
    throw new MeshError({
      code: 'server_unsuitable',
      message: `nats-server ${version} is too old: MeshForge needs ${MINIMUM_SERVER} or newer. Upgrade the server`,
      details: { found: version, minimum: MINIMUM_SERVER },
    });
  }
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    await manager.getAccountInfo();
    return manager;
  } catch (cause) {
    throw new MeshError({
      code: 'server_unsuitable',
      message:
        `JetStream does not answer on nats-server ${version}: ${(cause as Error).message}. ` +
        "Start the server with JetStream (-js) and enable it for this account, or check the user's permissions",
      cause,
    });
  }
}
