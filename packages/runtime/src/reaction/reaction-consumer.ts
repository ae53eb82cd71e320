import { entityEventFilter, entityStream } from '@meshforge/protocol';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import { deliveryStart } from '../client/durable-subscription.ts';
import { MeshError } from '../errors.ts';
import { ensureConsumer, type ConsumerSettings } from '../nats/consumers.ts';
import { PINNED_CONSUMER } from '../durable/consumer.ts';
import type { ReactOptions } from './types.ts';

/**
 * When an unacknowledged event is delivered again, in milliseconds. A worker that takes over waits for these deliveries: nothing
 * else tells it which events are not done.
 */
const REDELIVER_MS = [1_500, 3_000];

/** The consumer of a reaction on the stream of the agent whose events it follows. */
export function reactionConsumer(name: string): string {
  return `react_${name}`;
}

export function reactionSettings(agent: string, { events = ['*'], name }: ReactOptions): ConsumerSettings {
  return {
    ...PINNED_CONSUMER,
    backoff: REDELIVER_MS.map((ms) => nanos(ms)),
    durable_name: reactionConsumer(name),
    description: `MeshForge: the reaction ${name}, one replica at a time`,
    filter_subjects: events.map((event) => entityEventFilter(agent, event)),
  };
}

/** Creates the reaction's consumer. One that exists goes on where it was, however else it was to begin. */
export async function ensureReactionConsumer(
  connection: NatsConnection,
  domain: string | undefined,
  agent: string,
  options: ReactOptions,
): Promise<void> {
  const stream = entityStream(agent);
  const { exactEvents = false, from, name } = options;
  const sharing = exactEvents ? 'exact' : 'add';
  try {
    await ensureConsumer(connection, domain, stream, reactionSettings(agent, options), deliveryStart(from), sharing);
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    throw new MeshError({
      code: 'unavailable',
      message: `cannot react as ${name} to ${stream}: ${(cause as Error).message}`,
      details: { stream, name },
      cause,
    });
  }
}
