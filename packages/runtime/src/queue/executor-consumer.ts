import { commandStream, queuedCommandWildcard } from '@meshforge/protocol';
import { AckPolicy, type ConsumerConfig } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import { ensureConsumer } from '../nats/consumers.ts';
import { EXECUTOR } from './durable-commands.ts';
import { PIN_GROUP, PIN_MS } from './pin.ts';
import { MAX_IN_HAND } from './queue-worker.ts';

/** When what was delivered and not acknowledged is delivered again, in milliseconds; the last holds for all further times. */
const REDELIVER_MS = [1_500, 5_000, 10_000];

/** A consumer whose messages go to one replica at a time. */
export const PINNED_CONSUMER = {
  ack_policy: AckPolicy.Explicit,
  max_ack_pending: MAX_IN_HAND,
  max_deliver: -1,
  backoff: REDELIVER_MS.map((ms) => nanos(ms)),
  priority_groups: [PIN_GROUP],
  priority_policy: 'pinned_client',
  priority_timeout: nanos(PIN_MS),
} as const satisfies Partial<ConsumerConfig>;

/** Creates the consumer by which the replicas of an agent take its durable commands, or brings it up to date. */
export async function ensureExecutor(connection: NatsConnection, agent: string): Promise<void> {
  await ensureConsumer(connection, undefined, commandStream(agent), {
    ...PINNED_CONSUMER,
    durable_name: EXECUTOR,
    description: 'MeshForge: executes durable commands, one replica at a time',
    filter_subject: queuedCommandWildcard(agent),
  });
}
