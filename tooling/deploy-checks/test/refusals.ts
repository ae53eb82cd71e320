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

/** The subjects of all that reaches `listener` on a filter while `act` runs, and a little longer. */
export async function arrivalsDuring(listener: NatsConnection, filter: string, act: () => unknown): Promise<string[]> {
  const arrived: string[] = [];
  const subscription = listener.subscribe(filter, {
    callback: (_error, message) => {
      arrived.push(message.subject);
    },
  });
  await listener.flush();
  await act();
  await sleep(150);
  subscription.unsubscribe();
  return arrived;
}
