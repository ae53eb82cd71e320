import { JetStreamApiError, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { errors, type NatsConnection } from '@nats-io/nats-core';
import semver from 'semver';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { isTransient, NoAnswerError } from './jetstream-errors.ts';

/** The first server with message schedules as MeshForge uses them. */
const MINIMUM_SERVER = '2.14.0';

/** How long a start waits for a cluster that is electing its leaders, in milliseconds. */
const PATIENCE_MS = 30_000;
/** How long for a server where nobody listens for JetStream requests: most likely it is off. */
const NO_RESPONDERS_PATIENCE_MS = 3_000;
const PAUSE_MS = 250;

/**
 * Checks that the server is one that MeshForge can stand on.
 * @throws MeshError `server_unsuitable` saying what it lacks
 */
export async function requireServer(connection: NatsConnection, clock: Clock): Promise<JetStreamManager> {
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
    await untilAnswered(clock, () => manager.getAccountInfo());
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

/** Asks again while JetStream says "not now", as it does until a cluster has elected its leaders. */
export async function untilAnswered<T>(clock: Clock, ask: () => Promise<T>): Promise<T> {
  const began = clock.monotonic();
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (clock.monotonic() - began > patienceFor(error)) throw error;
      await clock.sleep(PAUSE_MS);
    }
  }
}

function patienceFor(error: unknown): number {
  if (error instanceof JetStreamApiError) return isTransient(error) ? PATIENCE_MS : 0;
  // The client connects again by itself, and what was asked meanwhile is asked again.
  if (error instanceof errors.TimeoutError || error instanceof NoAnswerError || isBroken(error)) return PATIENCE_MS;
  return hasNoResponders(error) ? NO_RESPONDERS_PATIENCE_MS : 0;
}

/** A request that found no connection, or lost it: the client says so without a cause. */
function isBroken(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error instanceof errors.RequestError && error.cause === undefined ? true : isBroken(error.cause);
}

function hasNoResponders(error: unknown): boolean {
  return error instanceof Error && (error instanceof errors.NoRespondersError || hasNoResponders(error.cause));
}
