import { setTimeout as sleep } from 'node:timers/promises';
import { connect, errors, type NatsConnection } from '@nats-io/transport-node';
import { onTestFinished } from 'vitest';

/** A connection that is closed with the test. */
export async function connectTo(
  servers: string,
  credentials: { user?: string; pass?: string } = {},
): Promise<NatsConnection> {
  const connection = await connect({
    servers: servers.split(','),
    ...credentials,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  onTestFinished(async () => await connection.close());
  return connection;
}

/** One request to the JetStream API; throws what the server says against it. */
export async function ask(
  connection: NatsConnection,
  subject: string,
  body: object | string = '',
): Promise<Record<string, unknown>> {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await requestPatiently(connection, subject, payload);
  if (answer['error'] !== undefined) throw new Error(`${subject}: ${JSON.stringify(answer['error'])}`);
  return answer;
}

const maxTries = 200;

/** Said while the meta leader has not heard yet how much room a member has: members tell it every few seconds. */
const noSuitablePeers = 10005;

/** The members of a cluster learn of a new stream's subjects, and of each other's room, one after the other. */
async function requestPatiently(
  connection: NatsConnection,
  subject: string,
  payload: string,
): Promise<Record<string, unknown>> {
  for (let tries = 1; ; tries++) {
    try {
      const answer = (await connection.request(subject, payload, { timeout: 10_000 })).json<Record<string, unknown>>();
      const code = (answer['error'] as { err_code?: number } | undefined)?.err_code;
      if (code !== noSuitablePeers || tries >= maxTries) return answer;
    } catch (error) {
      const isNobody = error instanceof errors.RequestError && error.isNoResponders();
      if (!isNobody || tries >= maxTries) throw error;
    }
    await sleep(100);
  }
}

/** Makes a file stream that takes `subject`. */
export async function makeStream(connection: NatsConnection, subject: string, replicas: number): Promise<void> {
  const config = { name: 'KEPT', subjects: [subject], storage: 'file', num_replicas: replicas, retention: 'limits' };
  await ask(connection, '$JS.API.STREAM.CREATE.KEPT', config);
}

/** How many messages the stream holds. */
export async function countMessages(connection: NatsConnection): Promise<number> {
  const info = await ask(connection, '$JS.API.STREAM.INFO.KEPT');
  return (info['state'] as { messages: number }).messages;
}
