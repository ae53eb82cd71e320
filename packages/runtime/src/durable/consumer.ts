import { commandStream, queuedCommandWildcard } from '@meshforge/protocol';
import { AckPolicy, type ConsumerConfig } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import { ensureConsumer, type ConsumerSettings } from '../nats/consumers.ts';

/** The consumer of an agent's durable commands, one for all replicas. */
export const EXECUTOR = 'executor';
/** The one priority group of a consumer whose messages go to one worker at a time. */
export const PIN_GROUP = 'executor';
/**
 * The server turns to another worker when it has not heard of the pinned one for so long, in milliseconds. A worker whose process
 * stands still for longer loses its place, which does no harm.
 */
const PIN_MS = 600;
/** Messages that are delivered and not acknowledged. The server delivers no more beyond. */
export const MAX_UNACKNOWLEDGED = 10_000;

/** A consumer whose messages go to one worker at a time. */
export const PINNED_CONSUMER = {
  ack_policy: AckPolicy.Explicit,
  max_ack_pending: MAX_UNACKNOWLEDGED,
  max_deliver: -1,
  priority_groups: [PIN_GROUP],
  priority_policy: 'pinned_client',
  priority_timeout: nanos(PIN_MS),
} as const satisfies Partial<ConsumerConfig>;

/**
 * When an unacknowledged command is delivered again, in milliseconds; the last holds for all further times. The oldest command
 * of an entity is found by a look as well, so that later deliveries may be rare.
 */
const REDELIVER_MS = [1_500, 5_000, 10_000];

export function executorSettings(agent: string): ConsumerSettings {
  return {
    ...PINNED_CONSUMER,
    backoff: REDELIVER_MS.map((ms) => nanos(ms)),
    durable_name: EXECUTOR,
    description: 'MeshForge: executes durable commands, one replica at a time',
    filter_subject: queuedCommandWildcard(agent),
  };
}

/** Creates the consumer of an agent's durable commands, or brings it up to date. It holds no data: it may be made again. */
export async function ensureExecutor(connection: NatsConnection, agent: string): Promise<void> {
  await ensureConsumer(connection, undefined, commandStream(agent), executorSettings(agent));
}
