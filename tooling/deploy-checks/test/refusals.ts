import { setTimeout as sleep } from 'node:timers/promises';
import { errors, type NatsConnection } from '@nats-io/transport-node';

const refusedSoFar = new WeakMap<NatsConnection, string[]>();

/** Everything the server refuses this connection while `act` runs, as `publish <subject>` or `subscription <subject>`. */
export async function refusalsDuring(connection: NatsConnection, act: () => unknown): Promise<string[]> {
  const refused = refusedSoFar.get(connection) ?? watch(connection);
  const before = refused.length;
  await act();
  // The server answers in order: what it refuses, it has refused before it answers this ping.
  await connection.flush();
  await sleep(10);
  return refused.slice(before);
}

function watch(connection: NatsConnection): string[] {
  const refused: string[] = [];
  refusedSoFar.set(connection, refused);
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type !== 'error' || !(status.error instanceof errors.PermissionViolationError)) continue;
      refused.push(`${status.error.operation} ${status.error.subject}`);
    }
  })();
  return refused;
}

const patienceMs = 5_000;
const settleMs = 150;

/**
 * The subjects of all that reaches `listener` on a filter while `act` runs, and a little longer. Where something has to
 * arrive, `atLeast` says how much, and a slow machine gets the time for it.
 */
export async function arrivalsDuring(
  listener: NatsConnection,
  filter: string,
  act: () => unknown,
  atLeast = 0,
): Promise<string[]> {
  const arrived: string[] = [];
  const subscription = listener.subscribe(filter, {
    callback: (_error, message) => {
      arrived.push(message.subject);
    },
  });
  await listener.flush();
  await act();
  const deadline = performance.now() + patienceMs;
  while (arrived.length < atLeast && performance.now() < deadline) await sleep(10);
  await sleep(settleMs);
  subscription.unsubscribe();
  return arrived;
}
